package policy

// The tables of this file are the platform's infrastructure as it was decided, row by row. A template that differs from them is
// wrong, or the decision has changed: then it changes here first.

// system is what is expected of one of the three.
type system struct {
	vpc     string
	subnets map[string]string // tier and zone -> CIDR
	// endpoints are the AWS services that must be reached without leaving the VPC.
	endpoints []string
	// places say where each thing lives.
	places map[string]place
	// reach is every way that packets may go. What is not here is closed.
	reach []string
	// names in the base domain, sorted.
	names []string
	// internalPorts are those of the internal load balancer, sorted.
	internalPorts []string
	// types of resources that this system has and not all have.
	types []string
	// counted are the managed rules of the firewall that only count.
	counted []string
	// grants are the actions that only some roles may do: "action on resource" -> roles, sorted.
	grants map[string][]string
}

// place is where something lives.
type place struct {
	in     string // a tier (its two subnets), one subnet, a group of subnets; empty: nowhere itself
	group  string // its security group, without the suffix
	public string // whether it has an address of the internet, as its type says it
}

func placed(in, group, public string) place { return place{in: in, group: group, public: public} }

// Words for a public address, by type.
const (
	fargateInside  = "DISABLED"
	fargateOutside = "ENABLED"
)

var systems = map[string]system{
	"smartpos": {
		vpc: "10.1.0.0/16",
		subnets: map[string]string{
			"PublicA": "10.1.1.0/24", "PublicB": "10.1.2.0/24",
			"PrivateA": "10.1.10.0/24", "PrivateB": "10.1.11.0/24",
			"DatabaseA": "10.1.20.0/24", "DatabaseB": "10.1.21.0/24",
		},
		endpoints: []string{"s3", "ecr.api", "ecr.dkr", "logs", "secretsmanager", "kms"},
		places: map[string]place{
			"Alb":                     placed("Public", "Alb", "internet-facing"),
			"KongService":             placed("Public", "Kong", fargateOutside), // the only tasks with a public address
			"InternalAlb":             placed("Private", "InternalAlb", "internal"),
			"SvcPortalBlueService":    placed("Private", "SvcPortal", fargateInside),
			"SvcPortalGreenService":   placed("Private", "SvcPortal", fargateInside),
			"SvcSmarttabBlueService":  placed("Private", "SvcSmarttab", fargateInside),
			"SvcSmarttabGreenService": placed("Private", "SvcSmarttab", fargateInside),
			"DatabaseSubnets":         placed("Database", "", ""),
			"Database":                placed("DatabaseSubnets", "Database", "false"),
			"RedisSubnets":            placed("Database", "", ""),
			"Redis":                   placed("RedisSubnets", "Redis", ""),
		},
		reach: []string{
			"world -> Alb:443", "world -> Alb:80",
			"Alb -> Kong:8000", "Alb -> Kong:8100",
			"Kong -> InternalAlb:8002", "Kong -> InternalAlb:8080",
			"InternalAlb -> SvcPortal:8002", "InternalAlb -> SvcSmarttab:8080",
			"SvcPortal -> Database:5432", "SvcSmarttab -> Database:5432", "Migrate -> Database:5432",
			"SvcPortal -> Redis:6379", "SvcSmarttab -> Redis:6379", "Kong -> Redis:6379",
			"Kong -> Endpoint:443", "SvcPortal -> Endpoint:443", "SvcSmarttab -> Endpoint:443", "Migrate -> Endpoint:443",
			"Kong -> internet:443", "SvcPortal -> internet:443", "SvcSmarttab -> internet:443", "Migrate -> internet:443",
			"Kong -> s3:443", "SvcPortal -> s3:443", "SvcSmarttab -> s3:443", "Migrate -> s3:443",
		},
		names:         []string{"api", "portal"},
		counted:       []string{"SizeRestrictions_BODY"},
		internalPorts: []string{"8002", "8080"},
		types:         databaseTypes,
		grants: map[string][]string{
			"rds-db:connect on " + databaseUser + "svc_portal":   {"SvcPortalTaskRole"},
			"rds-db:connect on " + databaseUser + "svc_smarttab": {"SvcSmarttabTaskRole"},
			"kms:Encrypt on ${SealKey.Arn}":                      {"SvcPortalTaskRole"},
			"kms:Decrypt on ${SealKey.Arn}":                      {"SvcPortalTaskRole"},
			"kms:Decrypt on ${DataKey.Arn}": {
				"KongExecutionRole", "MigrateExecutionRole", "SeedExecutionRole", "SvcPortalExecutionRole", "SvcSmarttabExecutionRole", "SvcSmarttabOperatorExecutionRole",
			},
			// The owner's password is the migrate task's alone.
			"secretsmanager:GetSecretValue on ${Database.MasterUserSecret.SecretArn}":               {"MigrateExecutionRole"},
			"secretsmanager:GetSecretValue on ${RedisAuthToken}":                                    {"KongExecutionRole"},
			"secretsmanager:GetSecretValue on ${RedisUrl}":                                          {"SvcPortalExecutionRole", "SvcSmarttabExecutionRole", "SvcSmarttabOperatorExecutionRole"},
			"secretsmanager:GetSecretValue on ${SeedAdminPassword}":                                 {"SeedExecutionRole"},
			"secretsmanager:GetSecretValue on " + secret + "mpac-smartpos/{env}/pgw-partner-AbCdEf": {"SvcPortalExecutionRole", "SvcSmarttabExecutionRole", "SvcSmarttabOperatorExecutionRole"},
			"secretsmanager:GetSecretValue on " + secret + "mpac-smartpos/{env}/otlp-token-AbCdEf": {
				"KongExecutionRole", "MigrateExecutionRole", "SeedExecutionRole", "SvcPortalExecutionRole", "SvcSmarttabExecutionRole", "SvcSmarttabOperatorExecutionRole",
			},
		},
	},
	"pgw": {
		vpc: "10.0.0.0/16",
		subnets: map[string]string{
			"PublicA": "10.0.1.0/24", "PublicB": "10.0.2.0/24",
			"PrivateA": "10.0.10.0/24", "PrivateB": "10.0.11.0/24",
			"DatabaseA": "10.0.20.0/24", "DatabaseB": "10.0.21.0/24",
		},
		endpoints: []string{"s3", "ecr.api", "ecr.dkr", "logs", "secretsmanager", "kms"},
		places: map[string]place{
			"Alb":                    placed("Public", "Alb", "internet-facing"),
			"Bastion":                placed("PublicSubnetA", "Bastion", "true"),
			"PgwBackendBlueService":  placed("Private", "PgwBackend", fargateInside),
			"PgwBackendGreenService": placed("Private", "PgwBackend", fargateInside),
			"MatcherSchedule":        placed("Private", "Matcher", fargateInside),
			"MatcherDeadline":        placed("Private", "Matcher", fargateInside),
			"MatcherFailed":          placed("Private", "Matcher", fargateInside),
			"DatabaseSubnets":        placed("Database", "", ""),
			"Database":               placed("DatabaseSubnets", "Database", "false"),
			"RedisSubnets":           placed("Database", "", ""),
			"Redis":                  placed("RedisSubnets", "Redis", ""),
		},
		reach: []string{
			"world -> Alb:443", "world -> Alb:80",
			"Alb -> PgwBackend:8080",
			"PgwBackend -> Database:5432", "Matcher -> Database:5432", "Migrate -> Database:5432", "Bastion -> Database:5432",
			"PgwBackend -> Redis:6379",
			"PgwBackend -> Endpoint:443", "Matcher -> Endpoint:443", "Migrate -> Endpoint:443",
			"PgwBackend -> internet:443", "Matcher -> internet:443", "Migrate -> internet:443", "Bastion -> internet:443",
			"PgwBackend -> s3:443", "Matcher -> s3:443", "Migrate -> s3:443",
		},
		names:   []string{"api.pgw"},
		counted: []string{"SizeRestrictions_BODY"},
		types: append([]string{
			"AWS::EC2::Instance", "AWS::IAM::InstanceProfile", "AWS::Scheduler::Schedule", "AWS::Events::Rule", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
		}, databaseTypes...),
		grants: map[string][]string{
			"rds-db:connect on " + databaseUser + "pgw_backend": {"PgwBackendTaskRole"},
			"rds-db:connect on " + databaseUser + "matcher":     {"MatcherTaskRole"},
			"kms:Encrypt on ${SealKey.Arn}":                     {"PgwBackendTaskRole"},
			"kms:Decrypt on ${SealKey.Arn}":                     {"PgwBackendTaskRole"},
			"kms:Decrypt on ${DataKey.Arn}":                     {"MatcherExecutionRole", "MatcherTaskRole", "MigrateExecutionRole", "PartnerExecutionRole", "PgwBackendExecutionRole"},
			// The owner's password is the migrate task's alone.
			"secretsmanager:GetSecretValue on ${Database.MasterUserSecret.SecretArn}":         {"MigrateExecutionRole"},
			"secretsmanager:GetSecretValue on ${RedisUrl}":                                    {"PgwBackendExecutionRole"},
			"secretsmanager:GetSecretValue on " + secret + "mpac-pgw/{env}/otlp-token-AbCdEf": {"MatcherExecutionRole", "MigrateExecutionRole", "PartnerExecutionRole", "PgwBackendExecutionRole"},
			"s3:ListBucket on ${SettlementBucket.Arn}":                                        {"MatcherTaskRole"},
			"s3:GetObject on ${SettlementBucket.Arn}/*":                                       {"MatcherTaskRole"},
			"ecs:RunTask on " + matcherTask:                                                   {"MatcherAgainRole", "MatcherScheduleRole"},
			"iam:PassRole on ${MatcherTaskRole.Arn}":                                          {"MatcherAgainRole", "MatcherScheduleRole"},
			"iam:PassRole on ${MatcherExecutionRole.Arn}":                                     {"MatcherAgainRole", "MatcherScheduleRole"},
			"sqs:SendMessage on ${MatcherDeadLetters.Arn}":                                    {"MatcherAgainRole", "MatcherScheduleRole"},
		},
	},
	"obs": {
		vpc: "10.100.0.0/16",
		subnets: map[string]string{
			"PublicA": "10.100.1.0/24", "PublicB": "10.100.2.0/24",
			"PrivateA": "10.100.10.0/24", "PrivateB": "10.100.11.0/24",
		},
		endpoints: []string{"s3", "ecr.api", "ecr.dkr", "logs", "secretsmanager"},
		places: map[string]place{
			"Alb":            placed("Public", "Alb", "internet-facing"),
			"GrafanaService": placed("Private", "Grafana", fargateInside),
			"AlloyService":   placed("Private", "Alloy", fargateInside),
			"BoxInterface":   placed("PrivateSubnetA", "Box", ""),
			"BoxTemplate":    placed("", "Box", ""),
			"Box":            placed("PrivateSubnetA", "", ""),
		},
		reach: []string{
			"world -> Alb:443", "world -> Alb:80",
			"Alb -> Grafana:3000", "Alb -> Alloy:4318", "Alb -> Alloy:12345",
			"Box -> Alloy:4317",
			"Grafana -> Box:9090", "Grafana -> Box:3100", "Grafana -> Box:3200", "Grafana -> Box:9093",
			"Alloy -> Box:9090", "Alloy -> Box:3100", "Alloy -> Box:4317",
			"Grafana -> Endpoint:443", "Alloy -> Endpoint:443", "Box -> Endpoint:443",
			"Grafana -> internet:443", "Alloy -> internet:443", "Box -> internet:443",
			"Grafana -> s3:443", "Alloy -> s3:443", "Box -> s3:443",
		},
		names: []string{"grafana.obs", "otlp.obs"},
		types: []string{
			"AWS::EC2::Volume", "AWS::EC2::NetworkInterface", "AWS::EC2::LaunchTemplate", "AWS::AutoScaling::AutoScalingGroup", "AWS::IAM::InstanceProfile", "AWS::SecretsManager::Secret",
			"AWS::ServiceDiscovery::PrivateDnsNamespace", "AWS::ServiceDiscovery::Service", // the box finds Alloy by its name
		},
		counted: []string{"SizeRestrictions_BODY", "SizeRestrictions_QUERYSTRING"}, // Grafana's Explore keeps its state in the address
		grants: map[string][]string{
			"cloudwatch:DescribeAlarmsForMetric on *": {"GrafanaTaskRole"},
			"cloudwatch:GetMetricData on *":           {"GrafanaTaskRole"},
			"cloudwatch:ListMetrics on *":             {"GrafanaTaskRole"},
			"ec2:DescribeRegions on *":                {"GrafanaTaskRole"},
			"tag:GetResources on *":                   {"GrafanaTaskRole"},
			"cloudwatch:PutMetricData on *":           {"BoxRole"},
			"ec2:AttachNetworkInterface on arn:aws:ec2:ap-northeast-1:111122223333:instance/*":                        {"BoxRole"},
			"ec2:AttachNetworkInterface on arn:aws:ec2:ap-northeast-1:111122223333:network-interface/${BoxInterface}": {"BoxRole"},
			"ec2:AttachVolume on arn:aws:ec2:ap-northeast-1:111122223333:instance/*":                                  {"BoxRole"},
			"ec2:AttachVolume on arn:aws:ec2:ap-northeast-1:111122223333:volume/${DataVolume}":                        {"BoxRole"},
			"kms:CreateGrant on ${DataKey.Arn}":                                                                       {"BoxRole"}, "kms:Decrypt on ${DataKey.Arn}": {"BoxRole"}, "kms:GenerateDataKey on ${DataKey.Arn}": {"BoxRole"},
			"kms:Decrypt on ${OpsKey.Arn}": {"BoxRole", "GrafanaExecutionRole"}, "kms:GenerateDataKey on ${OpsKey.Arn}": {"BoxRole"},
			// Its two buckets only.
			"s3:ListBucket on ${LokiBucket.Arn}": {"BoxRole"}, "s3:ListBucket on ${TempoBucket.Arn}": {"BoxRole"},
			"s3:GetBucketLocation on ${LokiBucket.Arn}": {"BoxRole"}, "s3:GetBucketLocation on ${TempoBucket.Arn}": {"BoxRole"},
			"s3:ListBucketMultipartUploads on ${LokiBucket.Arn}": {"BoxRole"}, "s3:ListBucketMultipartUploads on ${TempoBucket.Arn}": {"BoxRole"},
			"s3:GetObject on ${LokiBucket.Arn}/*": {"BoxRole"}, "s3:GetObject on ${TempoBucket.Arn}/*": {"BoxRole"},
			"s3:PutObject on ${LokiBucket.Arn}/*": {"BoxRole"}, "s3:PutObject on ${TempoBucket.Arn}/*": {"BoxRole"},
			"s3:DeleteObject on ${LokiBucket.Arn}/*": {"BoxRole"}, "s3:DeleteObject on ${TempoBucket.Arn}/*": {"BoxRole"},
			"s3:AbortMultipartUpload on ${LokiBucket.Arn}/*": {"BoxRole"}, "s3:AbortMultipartUpload on ${TempoBucket.Arn}/*": {"BoxRole"},
			"s3:ListMultipartUploadParts on ${LokiBucket.Arn}/*": {"BoxRole"}, "s3:ListMultipartUploadParts on ${TempoBucket.Arn}/*": {"BoxRole"},
			"sns:Publish on ${PageTopic}": {"BoxRole"}, "sns:Publish on ${TicketTopic}": {"BoxRole"}, "sns:Publish on ${WatchdogTopic}": {"BoxRole"},
			"secretsmanager:GetSecretValue on ${GrafanaAdmin}":                                {"GrafanaExecutionRole"},
			"secretsmanager:GetSecretValue on ${GrafanaSealKey}":                              {"GrafanaExecutionRole"},
			"secretsmanager:GetSecretValue on " + secret + "mpac-obs/{env}/otlp-token-AbCdEf": {"AlloyExecutionRole"},
		},
	},
}

const (
	databaseUser = "arn:aws:rds-db:ap-northeast-1:111122223333:dbuser:${Database.DbiResourceId}/"
	secret       = "arn:aws:secretsmanager:ap-northeast-1:111122223333:secret:" //nolint:gosec // where secrets are, not what they are
	matcherTask  = "arn:aws:ecs:ap-northeast-1:111122223333:task-definition/mpac-pgw-{env}-matcher:*"
)

// sizes are the services.
var sizes = []size{
	{
		system: "smartpos", prefix: "Kong", halves: []string{""}, cpu: "2048", memory: "4096", least: "3", most: "30", container: "kong", port: "8000",
		check: "CMD-SHELL kong health", ready: "/status/ready", readyPort: "8100",
	},
	{
		system: "smartpos", prefix: "SvcPortal", halves: []string{"Blue", "Green"}, cpu: "1024", memory: "2048", least: "2", most: "20", container: "svc-portal", port: "8002",
		check: "CMD /svc-portal health", ready: "/ready",
	},
	{
		system: "smartpos", prefix: "SvcSmarttab", halves: []string{"Blue", "Green"}, cpu: "2048", memory: "4096", least: "5", most: "50", container: "svc-smarttab", port: "8080",
		check: "CMD /svc-smarttab health", ready: "/ready",
	},
	{
		system: "pgw", prefix: "PgwBackend", halves: []string{"Blue", "Green"}, cpu: "1024", memory: "2048", least: "3", most: "30", container: "pgw-backend", port: "8080",
		check: "CMD /pgw-backend health", ready: "/ready",
	},
	{
		system: "obs", prefix: "Alloy", halves: []string{""}, cpu: "2048", memory: "4096", least: "1", most: "1", container: "alloy", port: "4318",
		check: `CMD bash -c exec 3<>/dev/tcp/127.0.0.1/12345 && printf 'GET /-/ready HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3`, ready: "/-/ready", readyPort: "12345",
	},
	{
		system: "obs", prefix: "Grafana", halves: []string{""}, cpu: "1024", memory: "2048", least: "1", most: "1", container: "grafana", port: "3000",
		check: "CMD-SHELL wget -q -O /dev/null http://127.0.0.1:3000/api/health", ready: "/api/health",
	},
}

// backupDays are the fewest days of backups and of recovery to any point in time.
var backupDays = map[string]int{"dev": 1, "stg": 7, "prod": 35}

// tracesTaken are the shares of traces taken where they begin, and tracesKept the percent of ordinary ones that Alloy keeps of those;
// docs/observability.md computes production's.
var (
	tracesTaken = map[string]string{"dev": "1", "stg": "0.25", "prod": "0.01"}
	tracesKept  = map[string]string{"dev": "100", "stg": "50", "prod": "25"}
)

// commandLogDays is how long the record of operators' commands is kept at least: in production as long as what they are held against.
var commandLogDays = map[string]int{"dev": 30, "stg": 90, "prod": 2557}

// silent are containers that send no OTLP by the standard variables, and why.
var silent = map[string]string{
	"smartpos/KongTask/kong":      "its plugin sends traces, told by the gateway's file; its sidecar tells of it besides",
	"obs-ecs/AlloyTask/alloy":     "it is the receiver; Prometheus asks it for its own figures",
	"obs-ecs/GrafanaTask/grafana": "it is of what looks, not of what is looked at; Prometheus asks it for its own figures",
}

// alwaysTaken are the one-off tasks: migrations and operators' commands, few and each of interest. Their traces are all taken.
var alwaysTaken = []string{"MigrateTask", "SeedTask", "PartnerTask", "SvcSmarttabOperatorTask"}

// databaseMemoryGib is the memory of the instance classes in use: PostgreSQL takes a connection for each 9,531,392 bytes of it.
var databaseMemoryGib = map[string]int{"db.t4g.medium": 4, "db.t4g.large": 8, "db.r7g.large": 16, "db.r7g.xlarge": 32, "db.r7g.2xlarge": 64, "db.r7g.4xlarge": 128, "db.r7g.8xlarge": 256, "db.r7g.16xlarge": 512}

// sharedRoles are roles of more than one task definition, and why that is right.
var sharedRoles = []string{
	"SvcPortalTaskRole [Seed SvcPortal]",                    // the seed works as svc-portal does
	"PgwBackendTaskRole [Partner PgwBackend]",               // partners are made as pgw-backend
	"SvcSmarttabTaskRole [SvcSmarttab SvcSmarttabOperator]", // operators' commands are svc-smarttab's
}

// openVariables are variables and parameters that have a name like a secret's and are none.
var openVariables = []string{"KONG_HEADERS", "RATE_LIMIT_TOKEN", "RateLimitToken", "OidcTokenUrl"}

// tlsPolicies speak TLS 1.2 and up with ciphers that are fit for it.
var tlsPolicies = []string{"ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09"}

// requiredAlarms are the figures that must be watched, by type.
var requiredAlarms = map[string][]string{
	"AWS::RDS::DBInstance":                      {"CPUUtilization", "FreeStorageSpace", "FreeableMemory", "DatabaseConnections", "ReadLatency", "WriteLatency"},
	"AWS::ElastiCache::ReplicationGroup":        {"EngineCPUUtilization", "DatabaseMemoryUsagePercentage", "Evictions"},
	"AWS::EC2::NatGateway":                      {"ErrorPortAllocation"},
	"AWS::EC2::Instance":                        {"StatusCheckFailed"},
	"AWS::EC2::Volume":                          {"VolumeStalledIOCheck"},
	"AWS::AutoScaling::AutoScalingGroup":        {"GroupInServiceInstances", "StatusCheckFailed", "CPUCreditBalance"},
	"AWS::SQS::Queue":                           {"ApproximateNumberOfMessagesVisible"},
	"AWS::CertificateManager::Certificate":      {"DaysToExpiry"},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {"HTTPCode_ELB_5XX_Count"},
	"AWS::ElasticLoadBalancingV2::TargetGroup":  {"UnHealthyHostCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime"},
	"AWS::WAFv2::WebACL":                        {"BlockedRequests"},
}

// commonTypes are what any of the systems may have.
var commonTypes = []string{
	"AWS::EC2::VPC", "AWS::EC2::InternetGateway", "AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Subnet", "AWS::EC2::RouteTable", "AWS::EC2::Route",
	"AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::VPCEndpoint", "AWS::EC2::FlowLog", "AWS::EC2::SecurityGroup",
	"AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress", "AWS::KMS::Key", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::S3::BucketPolicy",
	"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule",
	"AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::CertificateManager::Certificate", "AWS::Route53::RecordSet", "AWS::WAFv2::IPSet", "AWS::WAFv2::WebACL",
	"AWS::WAFv2::WebACLAssociation", "AWS::WAFv2::LoggingConfiguration", "AWS::ECS::Cluster", "AWS::ECS::TaskDefinition", "AWS::ECS::Service",
	"AWS::CloudWatch::Alarm", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription",
}

// databaseTypes are what smartpos and pgw have and mpac-obs has not.
var databaseTypes = []string{
	"AWS::RDS::DBInstance", "AWS::RDS::DBSubnetGroup", "AWS::RDS::DBParameterGroup", "AWS::RDS::EventSubscription", "AWS::ElastiCache::ReplicationGroup",
	"AWS::ElastiCache::SubnetGroup", "AWS::ElastiCache::ParameterGroup", "AWS::SecretsManager::Secret", "AWS::ApplicationAutoScaling::ScalableTarget",
	"AWS::ApplicationAutoScaling::ScalingPolicy",
}
