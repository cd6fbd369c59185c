package policy_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/infra/policy"
)

// mutation breaks a template in one place, as a careless change would.
type mutation struct {
	what     string // what an attacker or an outage would make of it
	file     string
	resource string // where in the file; empty: anywhere
	old, new string // the first old becomes new
	rule     string // which must notice
}

const (
	pos  = "smartpos/ecs-stack.yaml"
	gate = "pgw/ecs-stack.yaml"
	vpc  = "obs/vpc-stack.yaml"
	box  = "obs/obs-box-stack.yaml"
	obs  = "obs/ecs-stack.yaml"
)

var mutations = []mutation{
	// Telemetry.
	{"metrics once a minute, and empty panels", pos, "SvcSmarttabGreenTask", "OTEL_METRIC_EXPORT_INTERVAL, Value: \"15000\"", "OTEL_METRIC_EXPORT_INTERVAL, Value: \"60000\"", "telemetry"},
	{"every trace taken in production", gate, "PgwBackendBlueTask", "OTEL_TRACES_SAMPLER_ARG, Value: !Ref TracesTakenShare", "OTEL_TRACES_SAMPLER_ARG, Value: \"1\"", "telemetry"},
	{"a service that does not follow Kong", pos, "SvcPortalBlueTask", "Value: parentbased_traceidratio", "Value: traceidratio", "telemetry"},
	{"Kong takes every trace", pos, "KongTask", "KONG_TRACING_SAMPLING_RATE, Value: !Ref TracesTakenShare", "KONG_TRACING_SAMPLING_RATE, Value: \"1.0\"", "telemetry"},
	{"a queue without end", gate, "MatcherTask", "OTEL_BLRP_MAX_QUEUE_SIZE, Value: \"8192\"", "OTEL_BLRP_MAX_QUEUE_SIZE, Value: \"10000000\"", "telemetry"},
	{"a migration that nobody hears of", gate, "MigrateTask", "            - {Name: OTEL_EXPORTER_OTLP_PROTOCOL, Value: http/protobuf}\n", "", "telemetry"},
	{"an operator's command that sends nowhere", gate, "PartnerTask", "OTEL_EXPORTER_OTLP_ENDPOINT, Value: !If [HasOtlp, !Ref OtlpEndpoint, \"\"]", "OTEL_EXPORTER_OTLP_ENDPOINT, Value: \"\"", "telemetry"},
	{"an operator's command of which one in a hundred is seen", pos, "SvcSmarttabOperatorTask", "Value: parentbased_always_on", "Value: parentbased_traceidratio", "telemetry"},
	{"a seed that is not let in", pos, "SeedTask", "            - !If [HasOtlp, {Name: OTEL_EXPORTER_OTLP_HEADERS, ValueFrom: !Sub \"${OtlpTokenSecretArn}:headers::\"}, !Ref \"AWS::NoValue\"]\n", "", "telemetry"},
	{"an excuse that is none any more", obs, "GrafanaTask", "          Environment:\n", "          Environment:\n            - {Name: OTEL_EXPORTER_OTLP_PROTOCOL, Value: http/protobuf}\n", "telemetry"},
	{"telemetry switched off", pos, "MigrateTask", "OTEL_SDK_DISABLED, Value: !If [HasOtlp, \"false\", \"true\"]", "OTEL_SDK_DISABLED, Value: \"true\"", "telemetry"},
	{"telemetry of an unknown place", pos, "SvcPortalGreenTask", "Value: !Sub \"deployment.environment.name=${EnvironmentName}\"", "Value: \"deployment.environment.name=dev\"", "telemetry"},
	{"a migration that cannot reach the receiver", gate, "MigrateToInternet443", "ToPort: 443", "ToPort: 444", "reach"},
	{"a task whose token is not its to read", gate, "PartnerExecutionRole", "- !Ref OtlpTokenSecretArn", "- !Ref RedisUrl", "grants"},
	// Networks.
	{"another VPC range", pos, "", "Vpc: {Cidr: 10.1.0.0/16}", "Vpc: {Cidr: 10.2.0.0/16}", "network"},
	{"a subnet's range one off", gate, "", "PrivateB: {Cidr: 10.0.11.0/24}", "PrivateB: {Cidr: 10.0.12.0/24}", "network"},
	{"both subnets in one zone", pos, "PrivateSubnetB", "!Select [1,", "!Select [0,", "network"},
	{"public addresses by default", gate, "PrivateSubnetA", "MapPublicIpOnLaunch: false", "MapPublicIpOnLaunch: true", "network"},
	{"private tasks straight on the internet", pos, "PrivateDefaultRouteA", "NatGatewayId: !Ref NatGatewayA", "GatewayId: !Ref InternetGateway", "network"},
	{"databases with a way out", gate, "DatabaseSubnetARoutes", "RouteTableId: !Ref DatabaseRouteTable", "RouteTableId: !Ref PrivateRouteTableA", "network"},
	{"one NAT gateway for production", pos, "PrivateDefaultRouteB", "!If [IsProd, !Ref NatGatewayB, !Ref NatGatewayA]", "!Ref NatGatewayA", "network"},
	{"a NAT gateway in a private subnet", gate, "NatGatewayA", "SubnetId: !Ref PublicSubnetA", "SubnetId: !Ref PrivateSubnetA", "network"},
	{"a peering", pos, "", "\n  InternetGateway:\n    Type: AWS::EC2::InternetGateway", "\n  Peering:\n    Type: AWS::EC2::VPCPeeringConnection\n    Properties: {VpcId: !Ref Vpc, PeerVpcId: vpc-0123456789abcdef0}\n  InternetGateway:\n    Type: AWS::EC2::InternetGateway", "types"},
	{"a transit gateway", gate, "", "\n  InternetGateway:\n    Type: AWS::EC2::InternetGateway", "\n  Transit:\n    Type: AWS::EC2::TransitGatewayAttachment\n    Properties: {VpcId: !Ref Vpc, TransitGatewayId: tgw-0123456789abcdef0, SubnetIds: [!Ref PrivateSubnetA]}\n  InternetGateway:\n    Type: AWS::EC2::InternetGateway", "types"},
	{"a route into another system", gate, "PrivateDefaultRouteA", "NatGatewayId: !Ref NatGatewayA", "VpcPeeringConnectionId: pcx-0123456789abcdef0", "network"},
	{"no flow log of what is refused", pos, "FlowLog", "TrafficType: ALL", "TrafficType: ACCEPT", "network"},
	{"secrets by the internet", gate, "SecretsManagerEndpoint", ".secretsmanager\"", ".sts\"", "network"},

	// Who is where.
	{"a service in the public subnets", pos, "SvcSmarttabBlueService", "Subnets: [!Ref PrivateSubnetA, !Ref PrivateSubnetB]", "Subnets: [!Ref PublicSubnetA, !Ref PublicSubnetB]", "placement"},
	{"a service with a public address", gate, "PgwBackendGreenService", "AssignPublicIp: DISABLED", "AssignPublicIp: ENABLED", "placement"},
	{"a database on the internet", gate, "Database", "PubliclyAccessible: false", "PubliclyAccessible: true", "placement"},
	{"Redis in the private subnets", pos, "RedisSubnets", "SubnetIds: [!Ref DatabaseSubnetA, !Ref DatabaseSubnetB]", "SubnetIds: [!Ref PrivateSubnetA, !Ref PrivateSubnetB]", "placement"},
	{"the internal load balancer outside", pos, "InternalAlb", "Scheme: internal", "Scheme: internet-facing", "placement"},
	{"the matcher in a group of its neighbour", gate, "MatcherSchedule", "MatcherSecurityGroup", "PgwBackendSecurityGroup", "placement"},
	{"the box in the other zone", box, "Box", "VPCZoneIdentifier: [!Ref BoxSubnet]", "VPCZoneIdentifier: [subnet-0123456789abcdef0]", "placement"},

	// Who reaches whom.
	{"PostgreSQL open to the world", gate, "DatabaseFromPgwBackend5432", "SourceSecurityGroupId: !GetAtt PgwBackendSecurityGroup.GroupId", "CidrIp: 0.0.0.0/0", "reach"},
	{"a port range instead of a port", pos, "KongFromAlb8000", "ToPort: 8000", "ToPort: 8999", "reach"},
	{"Kong open to the world", pos, "KongFromAlb8000", "SourceSecurityGroupId: !GetAtt AlbSecurityGroup.GroupId", "CidrIp: 0.0.0.0/0", "reach"},
	{"a service that skips Kong", pos, "InternalAlbFromKong8002", "SourceSecurityGroupId: !GetAtt KongSecurityGroup.GroupId", "SourceSecurityGroupId: !GetAtt SvcSmarttabSecurityGroup.GroupId", "reach"},
	{"SSH to the bastion", gate, "", "  AlbHttpsFromWorld:", "  BastionFromWorld22:\n    Type: AWS::EC2::SecurityGroupIngress\n    Properties: {GroupId: !GetAtt BastionSecurityGroup.GroupId, IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0, Description: ssh}\n  AlbHttpsFromWorld:", "reach"},
	{"everything out", gate, "MatcherToInternet443", "IpProtocol: tcp, FromPort: 443, ToPort: 443", "IpProtocol: \"-1\"", "reach"},
	{"AWS's default of everything out", pos, "MigrateSecurityGroup", "      SecurityGroupEgress:\n        - {IpProtocol: icmp, FromPort: 3, ToPort: 4, CidrIp: 127.0.0.1/32, Description: nothing}\n", "", "reach"},
	{"half of a pair of rules", pos, "RedisFromKong6379", "FromPort: 6379, ToPort: 6379", "FromPort: 6380, ToPort: 6380", "reach"},
	{"IPv6 from the world", gate, "AlbHttpsFromWorld", "CidrIp: 0.0.0.0/0", "CidrIpv6: \"::/0\"", "reach"},
	{"an inline rule", pos, "DatabaseSecurityGroup", "      VpcId: !Ref Vpc\n", "      VpcId: !Ref Vpc\n      SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 5432, ToPort: 5432, CidrIp: 10.0.0.0/8}]\n", "reach"},
	{"Tempo open to Grafana's neighbours", vpc, "AlloyFromAlb4318", "FromPort: 4318, ToPort: 4318", "FromPort: 4317, ToPort: 4317", "reach"},

	// Encryption, backups.
	{"an unencrypted database", pos, "Database", "StorageEncrypted: true", "StorageEncrypted: false", "encryption"},
	{"PostgreSQL without TLS", gate, "DatabaseParameters", "rds.force_ssl: \"1\"", "rds.force_ssl: \"0\"", "encryption"},
	{"Redis without TLS", pos, "Redis", "TransitEncryptionEnabled: true", "TransitEncryptionEnabled: false", "encryption"},
	{"Redis with TLS if you like", gate, "Redis", "TransitEncryptionMode: required", "TransitEncryptionMode: preferred", "encryption"},
	{"an unencrypted bastion", gate, "Bastion", "Encrypted: true", "Encrypted: false", "encryption"},
	{"instance metadata for everybody", gate, "Bastion", "HttpTokens: required", "HttpTokens: optional", "encryption"},
	{"settlement files under S3's own key", gate, "SettlementBucket", "SSEAlgorithm: aws:kms, KMSMasterKeyID: !GetAtt DataKey.Arn", "SSEAlgorithm: AES256", "encryption"},
	{"a public bucket", gate, "SettlementBucket", "BlockPublicPolicy: true", "BlockPublicPolicy: false", "encryption"},
	{"a bucket that forgets", gate, "SettlementBucket", "VersioningConfiguration: {Status: Enabled}", "VersioningConfiguration: {Status: Suspended}", "encryption"},
	{"a bucket without TLS", pos, "AccessLogBucketPolicy", "Effect: Deny", "Effect: Allow", "encryption"},
	{"logs for ever", pos, "SvcPortalLogs", "      RetentionInDays: !Ref LogRetentionDays\n", "", "encryption"},
	{"logs without a key", gate, "MatcherLogs", "      KmsKeyId: !GetAtt OpsKey.Arn\n", "", "encryption"},
	{"a key that never turns", pos, "SealKey", "EnableKeyRotation: true", "EnableKeyRotation: false", "encryption"},
	{"dead letters in clear", gate, "MatcherDeadLetters", "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false", "encryption"},
	{"an unencrypted data volume", box, "DataVolume", "Encrypted: true", "Encrypted: false", "encryption"},
	{"production in one zone", pos, "Database", "MultiAZ: !If [IsProd, true, false]", "MultiAZ: false", "backups"},
	{"production that can be deleted", gate, "Database", "DeletionProtection: !If [IsProd, true, false]", "DeletionProtection: false", "backups"},
	{"a database that goes with its stack", pos, "Database", "DeletionPolicy: Snapshot", "DeletionPolicy: Delete", "backups"},
	{"a key that goes with its stack", gate, "SealKey", "DeletionPolicy: Retain", "DeletionPolicy: Delete", "backups"},
	{"one Redis node in production", pos, "Redis", "NumCacheClusters: !If [IsProd, 2, 1]", "NumCacheClusters: 1", "backups"},
	{"two days of backups in production", "parameters/prod/pgw.yaml", "", `DatabaseBackupDays: "35"`, `DatabaseBackupDays: "2"`, "backups"},
	{"pools beyond what PostgreSQL takes", "parameters/dev/smartpos.yaml", "", `SvcSmarttabMaxCapacity: "3"`, `SvcSmarttabMaxCapacity: "50"`, "backups"},
	{"a load balancer that can be deleted", pos, "Alb", "deletion_protection.enabled, Value: !If [IsProd, \"true\", \"false\"]", "deletion_protection.enabled, Value: \"false\"", "backups"},

	// Rights, secrets.
	{"any secret for a task", pos, "SvcSmarttabExecutionRole", "- !Ref RedisUrl", "- \"*\"", "iam"},
	{"any action of a service", gate, "MatcherTaskRole", "Action: s3:GetObject", "Action: s3:*", "iam"},
	{"any action on anything", gate, "MatcherTaskRole", "Action: s3:GetObject", "Action: \"*\"", "iam"},
	{"a star without a reason", pos, "KongExecutionRole", "    Metadata:\n      WildcardReasons: {RegistryLogin: the action knows no resources}\n", "", "iam"},
	{"any bucket", gate, "MatcherTaskRole", "Resource: !Sub \"${SettlementBucket.Arn}/*\"", "Resource: \"arn:aws:s3:::*/*\"", "iam"},
	{"AWS's own wide policy", gate, "BastionRole", "      Policies:\n", "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n      Policies:\n", "iam"},
	{"a role for anybody", pos, "KongTaskRole", "Principal: {Service: ecs-tasks.amazonaws.com}", "Principal: {AWS: \"*\"}", "iam"},
	{"a role for any account's services", gate, "MatcherScheduleRole", "\"aws:SourceAccount\": !Ref \"AWS::AccountId\"", "\"aws:SourceAccount\": \"444455556666\"", "iam"},
	{"a key for anybody", pos, "DataKey", "Principal: {AWS: !Sub \"arn:${AWS::Partition}:iam::${AWS::AccountId}:root\"}", "Principal: {AWS: \"*\"}", "iam"},
	{"a topic for anybody", gate, "AlarmTopicPolicy", "Principal: {Service: [cloudwatch.amazonaws.com, events.rds.amazonaws.com]}", "Principal: \"*\"", "iam"},
	{"the owner's password for a service", pos, "SvcPortalExecutionRole", "- !Ref RedisUrl", "- !GetAtt Database.MasterUserSecret.SecretArn", "grants"},
	{"a service that logs in as its neighbour", pos, "SvcSmarttabTaskRole", "/svc_smarttab\"", "/svc_portal\"", "grants"},
	{"the matcher opens sealed credentials", gate, "MatcherTaskRole", "Resource: !GetAtt DataKey.Arn", "Resource: !GetAtt SealKey.Arn", "grants"},
	{"a task under another's role", gate, "MatcherTask", "TaskRoleArn: !GetAtt MatcherTaskRole.Arn", "TaskRoleArn: !GetAtt PgwBackendTaskRole.Arn", "grants"},
	{"the box reads another bucket", box, "BoxRole", "!Sub \"${TempoBucket.Arn}/*\"", "\"arn:aws:s3:::mpac-artefacts-prod/*\"", "grants"},
	{"a password in a variable", pos, "SvcPortalBlueTask", "- {Name: DATABASE_AUTH, Value: iam}", "- {Name: DATABASE_PASSWORD, Value: correct-horse}", "secrets"},
	{"a password in an address", gate, "PgwBackendBlueTask", "postgres://pgw_backend@", "postgres://pgw_backend:correct-horse@", "secrets"},
	{"a server nobody verifies", gate, "MatcherTask", "sslmode=verify-full", "sslmode=require", "secrets"},
	{"a token in the template", pos, "Redis", "AuthToken: !Sub \"{{resolve:secretsmanager:${RedisAuthToken}}}\"", "AuthToken: correcthorsebatterystaple", "secrets"},
	{"a secret as a parameter", gate, "", "  RateLimitGlobal:\n", "  PartnerSecret:\n    Type: String\n    AllowedPattern: \"^.*$\"\n    Default: x\n    Description: secret\n  RateLimitGlobal:\n", "secrets"},

	// Sizes, scaling, health.
	{"smaller tasks", pos, "SvcSmarttabBlueTask", "Cpu: 2048", "Cpu: 512", "sizes"},
	{"less memory", gate, "PgwBackendGreenTask", "Memory: 2048", "Memory: 1024", "sizes"},
	{"the load balancer asks whether it lives, not whether it is ready", pos, "SvcPortalBlueTargetGroup", "HealthCheckPath: /ready", "HealthCheckPath: /health", "sizes"},
	{"Kong asked on its proxy's port", pos, "KongTargetGroup", "HealthCheckPort: \"8100\"", "HealthCheckPort: \"8000\"", "sizes"},
	{"another port", pos, "SvcPortalBlueService", "ContainerPort: 8002", "ContainerPort: 8080", "sizes"},
	{"a shell in production", pos, "SvcPortalBlueService", "EnableExecuteCommand: false", "EnableExecuteCommand: true", "sizes"},
	{"a small matcher in production", "parameters/prod/pgw.yaml", "", `MatcherMemory: "4096"`, `MatcherMemory: "1024"`, "sizes"},
	{"root", gate, "MatcherTask", `User: "65532:65532"`, `User: "0:0"`, "tasks"},
	{"a file system that can be written", pos, "SvcPortalGreenTask", "ReadonlyRootFilesystem: true", "ReadonlyRootFilesystem: false", "tasks"},
	{"killed while it drains", gate, "PgwBackendBlueTask", "StopTimeout: 60", "StopTimeout: 45", "tasks"},
	{"too few files for the terminals", pos, "KongTask", "SoftLimit: 262144", "SoftLimit: 65535", "tasks"},
	{"operators' commands of the version before", pos, "", "Value: !Ref SvcSmarttabOperatorTask}", "Value: !Ref SvcSmarttabBlueTask}", "commands"},
	{"an operator's task that serves", pos, "SvcSmarttabOperatorTask", "Command: [--help]", "Command: [serve]", "commands"},
	{"a partner's secret in a log", gate, "PartnerTask", "PARTNER_ANSWERS_SEALED, Value: \"true\"", "PARTNER_ANSWERS_SEALED, Value: \"false\"", "commands"},
	{"a day's memory of operators", gate, "PartnerLogs", "RetentionInDays: !Ref OperatorLogRetentionDays", "RetentionInDays: 1", "commands"},
	{"operators forgotten in production", "parameters/prod/smartpos.yaml", "", `OperatorLogRetentionDays: "2557"`, `OperatorLogRetentionDays: "365"`, "commands"},
	{"a record that goes with its stack", pos, "SvcSmarttabOperatorLogs", "DeletionPolicy: Retain", "DeletionPolicy: Delete", "commands"},
	{"an operator who hears nothing", "manifest.yaml", "", "log_group: SvcSmarttabOperatorLogGroup", "log_group: MigrateLogGroup", "commands"},
	{"a floor of one in production", "parameters/prod/smartpos.yaml", "", `SvcSmarttabBlueMinCapacity: "5"`, `SvcSmarttabBlueMinCapacity: "1"`, "scaling"},
	{"a count that fights with scaling", gate, "PgwBackendBlueService", "DesiredCount: !If [PgwBackendBlueOff, 0, !Ref \"AWS::NoValue\"]", "DesiredCount: 3", "scaling"},
	{"scaling at 90%", pos, "SvcPortalBlueScalingByCpu", "TargetValue: 60", "TargetValue: 90", "scaling"},
	{"slow to grow", pos, "KongScalingByRequests", "ScaleOutCooldown: 60", "ScaleOutCooldown: 600", "scaling"},
	{"green scaled by blue's requests", gate, "PgwBackendGreenScalingByRequests", "PgwBackendGreenTargetGroup", "PgwBackendBlueTargetGroup", "scaling"},
	{"all weight on blue, whatever is said", gate, "HttpsRule", "Weight: !Ref PgwBackendBlueWeight", "Weight: 100", "release"},
	{"halves that differ", pos, "SvcSmarttabGreenTask", "Value: !Ref RefundApprovalLimit", "Value: \"1\"", "release"},
	{"a failed deployment that stays", pos, "KongService", "Rollback: true", "Rollback: false", "release"},

	// The edge.
	{"old TLS", gate, "HttpsListener", "ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-2016-08", "edge"},
	{"HTTP in clear", pos, "HttpListener", "{Type: redirect, RedirectConfig: {Protocol: HTTPS, Port: \"443\", StatusCode: HTTP_301}}", "{Type: forward, TargetGroupArn: !Ref KongTargetGroup}", "edge"},
	{"no access logs", pos, "InternalAlb", "access_logs.s3.enabled, Value: \"true\"", "access_logs.s3.enabled, Value: \"false\"", "edge"},
	{"an idle timeout below the ping", pos, "Alb", "idle_timeout.timeout_seconds, Value: \"120\"", "idle_timeout.timeout_seconds, Value: \"30\"", "edge"},
	{"another name", gate, "ApiPgwRecord", "Name: !Sub \"api.pgw.${BaseDomain}\"", "Name: !Sub \"pgw.${BaseDomain}\"", "edge"},
	{"no firewall before the door", gate, "WebAclOnAlb", "WebACLArn: !GetAtt WebAcl.Arn", "WebACLArn: arn:aws:wafv2:ap-northeast-1:111122223333:regional/webacl/other/1", "firewall"},
	{"a rate that is only counted", pos, "WebAcl", "Action: {Block: {}}", "Action: {Count: {}}", "firewall"},
	{"managed rules that are only counted", gate, "WebAcl", "OverrideAction: {None: {}}", "OverrideAction: {Count: {}}", "firewall"},
	{"large bodies blocked", pos, "WebAcl", "              RuleActionOverrides: [{Name: SizeRestrictions_BODY, ActionToUse: {Count: {}}}]\n", "", "firewall"},
	{"our own systems throttled", gate, "ExemptAddresses", "!Join [\",\", !Ref SmartposNatAddresses]", "\"192.0.2.1/32\"", "firewall"},

	{"telemetry held against rules for browsers", vpc, "WebAcl", "SearchString: otlp.", "SearchString: grafana.", "firewall"},
	{"telemetry into Grafana", obs, "", "Actions: [{Type: forward, TargetGroupArn: !Ref AlloyTargetGroup}]", "Actions: [{Type: forward, TargetGroupArn: !Ref GrafanaTargetGroup}]", "edge"},
	{"Grafana for everybody", obs, "", `GF_AUTH_ANONYMOUS_ENABLED, Value: "false"`, `GF_AUTH_ANONYMOUS_ENABLED, Value: "true"`, "edge"},

	// The matcher, the box, the alarms, the form.
	{"the matcher by London time", gate, "MatcherSchedule", "Asia/Tokyo", "Europe/London", "schedule"},
	{"no dead letters", gate, "MatcherSchedule", "        DeadLetterConfig: {Arn: !GetAtt MatcherDeadLetters.Arn}\n", "", "schedule"},
	{"a report with exceptions taken for a failure", gate, "MatcherFailed", "anything-but: [0, 2]", "anything-but: [0]", "schedule"},
	{"a killed matcher that nobody notices", gate, "MatcherFailed", "            - containers: {exitCode: [{exists: false}]}\n", "", "schedule"},
	{"a matcher that is started for ever", gate, "MatcherFailed", "Group: matcher-again", "Group: matcher", "schedule"},
	{"nobody asks at the deadline", gate, "MatcherDeadline", "State: ENABLED", "State: DISABLED", "schedule"},
	{"two boxes", box, "Box", "MaxSize: \"1\"", "MaxSize: \"2\"", "box"},
	{"a box that is too small for its parts", box, "", "t3.medium: {Prometheus: 1434", "t3.medium: {Prometheus: 3434", "box"},
	{"an alarm nobody hears", pos, "DatabaseStorageAlarm", "      AlarmActions: [!Ref AlarmTopic]\n", "", "alarms"},
	{"an alarm on another metric", gate, "DatabaseStorageAlarm", "MetricName: FreeStorageSpace", "MetricName: SwapUsage", "alarms"},
	{"a volume nobody watches", box, "DataVolumeStalledAlarm", "Value: !Ref DataVolume", "Value: vol-0123456789abcdef0", "alarms"},
	{"a parameter that may be anything", pos, "", "    MinValue: 1\n    MaxValue: 1000000\n    Default: 1000\n    Description: Requests a minute that Kong", "    Default: 1000\n    Description: Requests a minute that Kong", "form"},
	{"an export", gate, "", "  ApiUrl: {Description: Where partners and terminals go,", "  ApiUrl: {Export: {Name: pgw-url}, Description: Where partners and terminals go,", "form"},
	{"a bill nobody can share out", pos, "Database", ", {Key: cost-centre, Value: !Ref CostCentre}", "", "tags"},
	{"a cycle", gate, "PgwBackendSecurityGroup", "VpcId: !Ref Vpc", "VpcId: !GetAtt DatabaseFromPgwBackend5432.Id", "template"},
	{"an anchor", pos, "Vpc", "EnableDnsSupport: true", "EnableDnsSupport: &yes true", "template"},
	{"a reference to nothing", obs, "", "!Ref AlarmTopic", "!Ref AlarmTopics", "template"},
	{"a parameter out of its bounds", "parameters/prod/smartpos.yaml", "", `KongMaxCapacity: "30"`, `KongMaxCapacity: "300"`, "template"},
	{"staging's domain in production", pos, "", "[!Equals [!Ref EnvironmentName, prod], !Equals [!Ref BaseDomain, mpac-cloud.com]]", "[!Equals [!Ref EnvironmentName, prod], !Equals [!Ref BaseDomain, mpac-cloud-stg.com]]", "template"},
}

// TestEveryMutationIsCaught breaks the templates one way at a time; the rule that is there for it must say so.
func TestEveryMutationIsCaught(t *testing.T) {
	t.Parallel()
	base := os.DirFS("..")
	for _, m := range mutations {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			src, err := policy.Read(broken{FS: base, mutation: m, t: t})
			if err != nil {
				t.Fatal(err)
			}
			var others []policy.Finding
			variants := policy.Variants()
			slices.Reverse(variants) // production shows most
			for _, v := range variants {
				for _, f := range src.World(v).Check() {
					if f.Rule == m.rule {
						return
					}
					others = append(others, f)
				}
			}
			t.Errorf("%q -> %q in %s goes unnoticed by the rule %s; there were %d other findings, such as %v", m.old, m.new, m.file, m.rule, len(others), others[:min(1, len(others))])
		})
	}
	if len(mutations) < 50 {
		t.Errorf("%d mutations, there must be fifty", len(mutations))
	}
}

// broken is infra's files with one of them changed.
type broken struct {
	fs.FS
	mutation
	t *testing.T
}

func (b broken) ReadFile(name string) ([]byte, error) {
	text, err := fs.ReadFile(b.FS, name)
	if err != nil || name != b.file {
		return text, err //nolint:wrapcheck // a file system's own errors
	}
	rest := string(text)
	if b.resource != "" {
		at := strings.Index(rest, "\n  "+b.resource+":\n")
		if at < 0 {
			b.t.Fatalf("%s has no %s", name, b.resource)
		}
		head := rest[:at+1]
		rest = rest[at+1:]
		// The block ends where the next name at its depth begins.
		lines := strings.SplitAfter(rest, "\n")
		end := len(lines[0])
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, "  ") && !strings.HasPrefix(l, "   ") && !strings.HasPrefix(l, "  #") {
				break
			}
			end += len(l)
		}
		block := rest[:end]
		if !strings.Contains(block, b.old) {
			b.t.Fatalf("%s/%s does not have %q", name, b.resource, b.old)
		}
		return []byte(head + strings.Replace(block, b.old, b.new, 1) + rest[end:]), nil
	}
	if !strings.Contains(rest, b.old) {
		b.t.Fatalf("%s does not have %q", name, b.old)
	}
	return []byte(strings.Replace(rest, b.old, b.new, 1)), nil
}
