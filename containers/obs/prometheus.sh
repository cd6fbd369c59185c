#!/bin/sh
# Fills the addresses into prometheus.yml, puts the rules beside it and starts Prometheus with what is given behind the flags
# that it never goes without.
set -eu
conf=/tmp/prometheus
mkdir -p $conf
cp -r /etc/prometheus/rules $conf/
/etc/mpac/expand.sh /etc/prometheus/prometheus.yml > $conf/prometheus.yml
exec /bin/prometheus --config.file=$conf/prometheus.yml --storage.tsdb.path=/prometheus --web.listen-address=0.0.0.0:9090 \
	--web.enable-otlp-receiver --enable-feature=exemplar-storage "$@"
