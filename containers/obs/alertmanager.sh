#!/bin/sh
# Puts the receivers (ALERT_CONTACTS: sns or webhook) behind the routes, fills in where they send to, and starts Alertmanager.
set -eu
conf=/tmp/alertmanager
mkdir -p $conf
cp -r /etc/alertmanager/templates $conf/
/etc/mpac/expand.sh /etc/alertmanager/alertmanager.yml "/etc/alertmanager/contacts-${ALERT_CONTACTS:?sns or webhook}.yml" > $conf/alertmanager.yml
exec /bin/alertmanager --config.file=$conf/alertmanager.yml --storage.path=/alertmanager --web.listen-address=0.0.0.0:9093 \
	--cluster.listen-address= "$@"
