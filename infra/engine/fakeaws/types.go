package fakeaws

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// kind is what CloudFormation knows of a resource type: what Ref and GetAtt give, and which properties can't be changed in place.
// In the formats {name} is the resource's name, {hexN} N digits of its own, {prop:X|d} its property X (or d), {rev} how often it was
// changed, {uuid}, {account} and {region} what they say.
type kind struct {
	ref        string
	attributes map[string]string
	named      string   // the property that names it
	replace    []string // properties whose change makes a new one in its place; * is each
}

type attributes = map[string]string

// kinds are the types that templates may use, from the CloudFormation reference. What is not here is refused, as AWS refuses
// what it does not know: add a type with what its page says under "Return values".
var kinds = map[string]kind{
	// EC2
	"AWS::EC2::VPC": {ref: "vpc-{hex17}", replace: []string{"CidrBlock"}, attributes: attributes{
		"VpcId": "vpc-{hex17}", "CidrBlock": "{prop:CidrBlock}", "DefaultSecurityGroup": "sg-{hex17}", "DefaultNetworkAcl": "acl-{hex17}",
	}},
	"AWS::EC2::Subnet": {ref: "subnet-{hex17}", replace: []string{"CidrBlock", "VpcId", "AvailabilityZone"}, attributes: attributes{
		"SubnetId": "subnet-{hex17}", "AvailabilityZone": "{prop:AvailabilityZone|{region}a}", "CidrBlock": "{prop:CidrBlock}", "VpcId": "{prop:VpcId}", "NetworkAclAssociationId": "aclassoc-{hex17}",
	}},
	"AWS::EC2::InternetGateway":             {ref: "igw-{hex17}", attributes: attributes{"InternetGatewayId": "igw-{hex17}"}},
	"AWS::EC2::VPCGatewayAttachment":        {ref: "IGW|{prop:VpcId}", attributes: attributes{"AttachmentType": "IGW"}},
	"AWS::EC2::EIP":                         {ref: "203.0.113.{byte}", attributes: attributes{"AllocationId": "eipalloc-{hex17}", "PublicIp": "203.0.113.{byte}"}, replace: []string{"Domain"}},
	"AWS::EC2::EIPAssociation":              {ref: "eipassoc-{hex17}", attributes: attributes{"Id": "eipassoc-{hex17}"}},
	"AWS::EC2::NatGateway":                  {ref: "nat-{hex17}", attributes: attributes{"NatGatewayId": "nat-{hex17}", "EniId": "eni-{hex17}"}, replace: []string{"AllocationId", "SubnetId"}},
	"AWS::EC2::RouteTable":                  {ref: "rtb-{hex17}", attributes: attributes{"RouteTableId": "rtb-{hex17}"}, replace: []string{"VpcId"}},
	"AWS::EC2::Route":                       {ref: "{prop:RouteTableId}|{prop:DestinationCidrBlock|x}", attributes: attributes{"CidrBlock": "{prop:DestinationCidrBlock}"}, replace: []string{"RouteTableId", "DestinationCidrBlock"}},
	"AWS::EC2::SubnetRouteTableAssociation": {ref: "rtbassoc-{hex17}", attributes: attributes{"Id": "rtbassoc-{hex17}"}, replace: []string{"SubnetId"}},
	"AWS::EC2::NetworkAcl":                  {ref: "acl-{hex17}", attributes: attributes{"Id": "acl-{hex17}"}, replace: []string{"VpcId"}},
	"AWS::EC2::NetworkAclEntry":             {ref: "{name}", attributes: attributes{"Id": "{name}"}},
	"AWS::EC2::SubnetNetworkAclAssociation": {ref: "aclassoc-{hex17}", attributes: attributes{"AssociationId": "aclassoc-{hex17}"}},
	"AWS::EC2::VPCEndpoint":                 {ref: "vpce-{hex17}", attributes: attributes{"Id": "vpce-{hex17}", "CreationTimestamp": "2026-01-01T00:00:00Z", "DnsEntries": "{name}", "NetworkInterfaceIds": "eni-{hex17}"}, replace: []string{"VpcId", "ServiceName", "VpcEndpointType"}},
	"AWS::EC2::SecurityGroup":               {ref: "sg-{hex17}", attributes: attributes{"GroupId": "sg-{hex17}", "Id": "sg-{hex17}", "VpcId": "{prop:VpcId}"}, replace: []string{"GroupDescription", "GroupName", "VpcId"}},
	"AWS::EC2::SecurityGroupIngress":        {ref: "sgr-{hex17}", attributes: attributes{"Id": "sgr-{hex17}"}, replace: []string{"GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupId", "SourcePrefixListId"}},
	"AWS::EC2::SecurityGroupEgress":         {ref: "sgr-{hex17}", attributes: attributes{"Id": "sgr-{hex17}"}, replace: []string{"GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "DestinationSecurityGroupId", "DestinationPrefixListId"}},
	"AWS::EC2::FlowLog":                     {ref: "fl-{hex17}", attributes: attributes{"Id": "fl-{hex17}"}, replace: []string{"*"}},
	"AWS::EC2::PrefixList":                  {ref: "pl-{hex17}", attributes: attributes{"PrefixListId": "pl-{hex17}", "Arn": "arn:aws:ec2:{region}:{account}:prefix-list/pl-{hex17}", "OwnerId": "{account}", "Version": "{rev}"}},
	"AWS::EC2::LaunchTemplate":              {ref: "lt-{hex17}", attributes: attributes{"LaunchTemplateId": "lt-{hex17}", "LatestVersionNumber": "{rev}", "DefaultVersionNumber": "1"}},
	"AWS::EC2::Instance": {ref: "i-{hex17}", replace: []string{"ImageId", "SubnetId", "AvailabilityZone", "NetworkInterfaces"}, attributes: attributes{
		"InstanceId": "i-{hex17}", "PrivateIp": "10.0.1.{byte}", "PublicIp": "203.0.113.{byte}", "AvailabilityZone": "{region}a", "PrivateDnsName": "ip-{hex8}.{region}.compute.internal", "PublicDnsName": "ec2-{hex8}.{region}.compute.amazonaws.com", "VpcId": "vpc-{hex17}",
	}},
	"AWS::EC2::Volume":                     {ref: "vol-{hex17}", attributes: attributes{"VolumeId": "vol-{hex17}"}, replace: []string{"AvailabilityZone", "Encrypted", "KmsKeyId", "SnapshotId"}},
	"AWS::EC2::VolumeAttachment":           {ref: "{name}", attributes: attributes{}, replace: []string{"*"}},
	"AWS::EC2::NetworkInterface":           {ref: "eni-{hex17}", attributes: attributes{"Id": "eni-{hex17}", "PrimaryPrivateIpAddress": "{prop:PrivateIpAddress|10.100.10.{byte}}", "VpcId": "vpc-{hex17}"}, replace: []string{"SubnetId", "PrivateIpAddress"}},
	"AWS::EC2::NetworkInterfaceAttachment": {ref: "eni-attach-{hex17}", attributes: attributes{"AttachmentId": "eni-attach-{hex17}"}, replace: []string{"*"}},

	// RDS and ElastiCache
	//nolint:gosec // formats of addresses, no credentials
	"AWS::RDS::DBInstance": {ref: "{name}", named: "DBInstanceIdentifier", replace: []string{"DBInstanceIdentifier", "StorageEncrypted", "KmsKeyId", "Engine", "MasterUsername", "DBName", "DBSubnetGroupName"}, attributes: attributes{
		"DBInstanceArn": "arn:aws:rds:{region}:{account}:db:{name}", "DbiResourceId": "db-{HEX26}", "Endpoint.Address": "{name}.{hex12}.{region}.rds.amazonaws.com", "Endpoint.Port": "{prop:Port|5432}",
		"Endpoint.HostedZoneId": "Z24O6O9L7SGTNB", "MasterUserSecret.SecretArn": "arn:aws:secretsmanager:{region}:{account}:secret:rds!db-{uuid}-{hex6}", "CertificateDetails.CAIdentifier": "rds-ca-rsa2048-g1",
	}},
	"AWS::RDS::DBSubnetGroup":     {ref: "{name}", named: "DBSubnetGroupName", attributes: attributes{}, replace: []string{"DBSubnetGroupName"}},
	"AWS::RDS::DBParameterGroup":  {ref: "{name}", named: "DBParameterGroupName", attributes: attributes{"DBParameterGroupName": "{name}"}, replace: []string{"Family", "Description", "DBParameterGroupName"}},
	"AWS::RDS::EventSubscription": {ref: "{name}", named: "SubscriptionName", attributes: attributes{}},
	"AWS::ElastiCache::ReplicationGroup": {ref: "{name}", named: "ReplicationGroupId", replace: []string{"ReplicationGroupId", "AtRestEncryptionEnabled", "KmsKeyId", "CacheSubnetGroupName", "Port", "Engine"}, attributes: attributes{
		"PrimaryEndPoint.Address": "master.{name}.{hex6}.apne1.cache.amazonaws.com", "PrimaryEndPoint.Port": "6379", "ReaderEndPoint.Address": "replica.{name}.{hex6}.apne1.cache.amazonaws.com", "ReaderEndPoint.Port": "6379",
		"ConfigurationEndPoint.Address": "clustercfg.{name}.{hex6}.apne1.cache.amazonaws.com", "ConfigurationEndPoint.Port": "6379", "ReadEndPoint.Addresses": "{name}", "ReadEndPoint.Ports": "6379",
	}},
	"AWS::ElastiCache::SubnetGroup":    {ref: "{name}", named: "CacheSubnetGroupName", attributes: attributes{}, replace: []string{"CacheSubnetGroupName"}},
	"AWS::ElastiCache::ParameterGroup": {ref: "{name}", attributes: attributes{"CacheParameterGroupName": "{name}"}, replace: []string{"CacheParameterGroupFamily"}},
	"AWS::ElastiCache::User":           {ref: "{prop:UserId|{name}}", attributes: attributes{"Arn": "arn:aws:elasticache:{region}:{account}:user:{prop:UserId|{name}}", "Status": "active"}, replace: []string{"UserId", "UserName", "Engine"}},
	"AWS::ElastiCache::UserGroup":      {ref: "{prop:UserGroupId|{name}}", attributes: attributes{"Arn": "arn:aws:elasticache:{region}:{account}:usergroup:{prop:UserGroupId|{name}}", "Status": "active"}, replace: []string{"UserGroupId", "Engine"}},

	// ECS
	"AWS::ECS::Cluster":                             {ref: "{name}", named: "ClusterName", attributes: attributes{"Arn": "arn:aws:ecs:{region}:{account}:cluster/{name}"}, replace: []string{"ClusterName"}},
	"AWS::ECS::ClusterCapacityProviderAssociations": {ref: "{prop:Cluster}", attributes: attributes{}, replace: []string{"Cluster"}},
	"AWS::ECS::TaskDefinition":                      {ref: "arn:aws:ecs:{region}:{account}:task-definition/{prop:Family|{name}}:{rev}", attributes: attributes{"TaskDefinitionArn": "arn:aws:ecs:{region}:{account}:task-definition/{prop:Family|{name}}:{rev}"}, replace: []string{"*"}},
	"AWS::ECS::Service": {ref: "arn:aws:ecs:{region}:{account}:service/{last:Cluster}/{name}", named: "ServiceName", replace: []string{"ServiceName", "Cluster", "LaunchType"}, attributes: attributes{
		"Name": "{name}", "ServiceArn": "arn:aws:ecs:{region}:{account}:service/{last:Cluster}/{name}",
	}},

	// Load balancing and scaling
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {ref: "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{short}/{hex16}", named: "Name", replace: []string{"Name", "Scheme", "Type"}, attributes: attributes{
		"LoadBalancerArn": "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{short}/{hex16}", "LoadBalancerFullName": "app/{short}/{hex16}", "LoadBalancerName": "{short}",
		"DNSName": "{short}-{hex8}.{region}.elb.amazonaws.com", "CanonicalHostedZoneID": "Z14GRHDCWA56QT", "SecurityGroups": "sg-{hex17}",
	}},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {ref: "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{short}/{hex16}", named: "Name", replace: []string{"Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId"}, attributes: attributes{
		"TargetGroupArn": "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{short}/{hex16}", "TargetGroupFullName": "targetgroup/{short}/{hex16}", "TargetGroupName": "{short}", "LoadBalancerArns": "{name}",
	}},
	"AWS::ElasticLoadBalancingV2::Listener":            {ref: "arn:aws:elasticloadbalancing:{region}:{account}:listener/app/{hex8}/{hex16}/{hex15}", attributes: attributes{"ListenerArn": "arn:aws:elasticloadbalancing:{region}:{account}:listener/app/{hex8}/{hex16}/{hex15}"}, replace: []string{"LoadBalancerArn"}},
	"AWS::ElasticLoadBalancingV2::ListenerRule":        {ref: "arn:aws:elasticloadbalancing:{region}:{account}:listener-rule/app/{hex8}/{hex16}/{hex15}", attributes: attributes{"RuleArn": "arn:aws:elasticloadbalancing:{region}:{account}:listener-rule/app/{hex8}/{hex16}/{hex15}", "IsDefault": "false"}, replace: []string{"ListenerArn"}},
	"AWS::ElasticLoadBalancingV2::ListenerCertificate": {ref: "{name}", attributes: attributes{"Id": "{name}"}, replace: []string{"*"}},
	"AWS::ApplicationAutoScaling::ScalableTarget":      {ref: "{prop:ResourceId}|ecs:service:DesiredCount|ecs", attributes: attributes{"Id": "{prop:ResourceId}|ecs:service:DesiredCount|ecs"}, replace: []string{"ResourceId", "ScalableDimension", "ServiceNamespace"}},
	"AWS::ApplicationAutoScaling::ScalingPolicy":       {ref: "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}", attributes: attributes{"Arn": "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}"}, replace: []string{"PolicyName", "ScalingTargetId", "ResourceId"}},
	"AWS::AutoScaling::AutoScalingGroup":               {ref: "{name}", named: "AutoScalingGroupName", attributes: attributes{"AutoScalingGroupARN": "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}"}, replace: []string{"AutoScalingGroupName"}},
	"AWS::AutoScaling::LifecycleHook":                  {ref: "{name}", attributes: attributes{}, replace: []string{"AutoScalingGroupName"}},
	"AWS::AutoScaling::ScheduledAction":                {ref: "{name}", attributes: attributes{}, replace: []string{"AutoScalingGroupName"}},

	// Identity, keys, secrets
	"AWS::IAM::Role":                              {ref: "{name}", named: "RoleName", attributes: attributes{"Arn": "arn:aws:iam::{account}:role{prop:Path|/}{name}", "RoleId": "AROA{HEX16}"}, replace: []string{"RoleName", "Path"}},
	"AWS::IAM::Policy":                            {ref: "{name}", attributes: attributes{"Id": "{name}"}},
	"AWS::IAM::RolePolicy":                        {ref: "{name}", attributes: attributes{}, replace: []string{"RoleName", "PolicyName"}},
	"AWS::IAM::ManagedPolicy":                     {ref: "arn:aws:iam::{account}:policy/{name}", named: "ManagedPolicyName", attributes: attributes{"PolicyArn": "arn:aws:iam::{account}:policy/{name}", "PolicyId": "ANPA{HEX16}"}, replace: []string{"ManagedPolicyName", "Description", "Path"}},
	"AWS::IAM::InstanceProfile":                   {ref: "{name}", named: "InstanceProfileName", attributes: attributes{"Arn": "arn:aws:iam::{account}:instance-profile/{name}"}, replace: []string{"InstanceProfileName"}},
	"AWS::KMS::Key":                               {ref: "{uuid}", attributes: attributes{"Arn": "arn:aws:kms:{region}:{account}:key/{uuid}", "KeyId": "{uuid}"}, replace: []string{"KeySpec", "KeyUsage", "MultiRegion", "Origin"}},
	"AWS::KMS::Alias":                             {ref: "{prop:AliasName}", attributes: attributes{}, replace: []string{"AliasName"}},
	"AWS::SecretsManager::Secret":                 {ref: "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{hex6}", named: "Name", attributes: attributes{"Id": "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{hex6}"}, replace: []string{"Name"}},
	"AWS::SecretsManager::SecretTargetAttachment": {ref: "{prop:SecretId}", attributes: attributes{"Id": "{prop:SecretId}"}},
	"AWS::SecretsManager::RotationSchedule":       {ref: "{prop:SecretId}", attributes: attributes{"Id": "{prop:SecretId}"}, replace: []string{"SecretId"}},
	"AWS::SecretsManager::ResourcePolicy":         {ref: "{prop:SecretId}", attributes: attributes{"Id": "{prop:SecretId}"}, replace: []string{"SecretId"}},
	"AWS::CertificateManager::Certificate":        {ref: "arn:aws:acm:{region}:{account}:certificate/{uuid}", attributes: attributes{}, replace: []string{"DomainName", "SubjectAlternativeNames", "ValidationMethod", "DomainValidationOptions", "KeyAlgorithm"}},

	// Storage, logs, figures, messages
	"AWS::S3::Bucket": {ref: "{name}", named: "BucketName", replace: []string{"BucketName"}, attributes: attributes{
		"Arn": "arn:aws:s3:::{name}", "DomainName": "{name}.s3.amazonaws.com", "RegionalDomainName": "{name}.s3.{region}.amazonaws.com", "DualStackDomainName": "{name}.s3.dualstack.{region}.amazonaws.com", "WebsiteURL": "http://{name}.s3-website-{region}.amazonaws.com",
	}},
	"AWS::S3::BucketPolicy":            {ref: "{prop:Bucket}", attributes: attributes{}, replace: []string{"Bucket"}},
	"AWS::Logs::LogGroup":              {ref: "{name}", named: "LogGroupName", attributes: attributes{"Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"}, replace: []string{"LogGroupName"}},
	"AWS::Logs::MetricFilter":          {ref: "{name}", attributes: attributes{}, replace: []string{"LogGroupName"}},
	"AWS::Logs::ResourcePolicy":        {ref: "{prop:PolicyName}", attributes: attributes{}, replace: []string{"PolicyName"}},
	"AWS::CloudWatch::Alarm":           {ref: "{name}", named: "AlarmName", attributes: attributes{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"}, replace: []string{"AlarmName"}},
	"AWS::CloudWatch::CompositeAlarm":  {ref: "{name}", named: "AlarmName", attributes: attributes{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"}, replace: []string{"AlarmName"}},
	"AWS::CloudWatch::Dashboard":       {ref: "{name}", named: "DashboardName", attributes: attributes{}, replace: []string{"DashboardName"}},
	"AWS::SNS::Topic":                  {ref: "arn:aws:sns:{region}:{account}:{name}", named: "TopicName", attributes: attributes{"TopicArn": "arn:aws:sns:{region}:{account}:{name}", "TopicName": "{name}"}, replace: []string{"TopicName"}},
	"AWS::SNS::Subscription":           {ref: "{prop:TopicArn}:{uuid}", attributes: attributes{"Arn": "{prop:TopicArn}:{uuid}"}, replace: []string{"Endpoint", "Protocol", "TopicArn"}},
	"AWS::SNS::TopicPolicy":            {ref: "{name}", attributes: attributes{"Id": "{name}"}},
	"AWS::SQS::Queue":                  {ref: "https://sqs.{region}.amazonaws.com/{account}/{name}", named: "QueueName", attributes: attributes{"Arn": "arn:aws:sqs:{region}:{account}:{name}", "QueueName": "{name}", "QueueUrl": "https://sqs.{region}.amazonaws.com/{account}/{name}"}, replace: []string{"QueueName", "FifoQueue"}},
	"AWS::SQS::QueuePolicy":            {ref: "{name}", attributes: attributes{"Id": "{name}"}},
	"AWS::Events::Rule":                {ref: "{name}", named: "Name", attributes: attributes{"Arn": "arn:aws:events:{region}:{account}:rule/{name}"}, replace: []string{"Name", "EventBusName"}},
	"AWS::Scheduler::Schedule":         {ref: "{name}", named: "Name", attributes: attributes{"Arn": "arn:aws:scheduler:{region}:{account}:schedule/{prop:GroupName|default}/{name}"}, replace: []string{"Name"}},
	"AWS::Scheduler::ScheduleGroup":    {ref: "{name}", named: "Name", attributes: attributes{"Arn": "arn:aws:scheduler:{region}:{account}:schedule-group/{name}", "State": "ACTIVE", "CreationDate": "2026-01-01T00:00:00Z", "LastModificationDate": "2026-01-01T00:00:00Z"}, replace: []string{"Name"}},
	"AWS::StepFunctions::StateMachine": {ref: "arn:aws:states:{region}:{account}:stateMachine:{name}", named: "StateMachineName", attributes: attributes{"Arn": "arn:aws:states:{region}:{account}:stateMachine:{name}", "Name": "{name}", "StateMachineRevisionId": "{uuid}"}, replace: []string{"StateMachineName", "StateMachineType"}},
	"AWS::Lambda::Function":            {ref: "{name}", named: "FunctionName", attributes: attributes{"Arn": "arn:aws:lambda:{region}:{account}:function:{name}"}, replace: []string{"FunctionName", "PackageType"}},
	"AWS::Lambda::Permission":          {ref: "{name}", attributes: attributes{"Id": "{name}"}, replace: []string{"*"}},
	"AWS::SSM::Parameter":              {ref: "{name}", named: "Name", attributes: attributes{"Type": "{prop:Type}", "Value": "{prop:Value}"}, replace: []string{"Name"}},
	"AWS::SSM::Document":               {ref: "{name}", named: "Name", attributes: attributes{}, replace: []string{"Name", "DocumentType"}},
	"AWS::SSM::Association":            {ref: "{uuid}", attributes: attributes{"AssociationId": "{uuid}"}},
	"AWS::DLM::LifecyclePolicy":        {ref: "policy-{hex17}", attributes: attributes{"Arn": "arn:aws:dlm:{region}:{account}:policy/policy-{hex17}"}},
	"AWS::Backup::BackupVault":         {ref: "{prop:BackupVaultName}", attributes: attributes{"BackupVaultName": "{prop:BackupVaultName}", "BackupVaultArn": "arn:aws:backup:{region}:{account}:backup-vault:{prop:BackupVaultName}"}, replace: []string{"BackupVaultName", "EncryptionKeyArn"}},
	"AWS::Backup::BackupPlan":          {ref: "{uuid}", attributes: attributes{"BackupPlanId": "{uuid}", "BackupPlanArn": "arn:aws:backup:{region}:{account}:backup-plan:{uuid}", "VersionId": "{rev}"}},
	"AWS::Backup::BackupSelection":     {ref: "{uuid}", attributes: attributes{"BackupPlanId": "{prop:BackupPlanId}", "SelectionId": "{uuid}", "Id": "{uuid}"}, replace: []string{"*"}},

	// At the door
	"AWS::WAFv2::WebACL":                         {ref: "{name}|{uuid}|REGIONAL", named: "Name", attributes: attributes{"Arn": "arn:aws:wafv2:{region}:{account}:regional/webacl/{name}/{uuid}", "Id": "{uuid}", "Capacity": "800", "LabelNamespace": "awswaf:{account}:webacl:{name}:"}, replace: []string{"Name", "Scope"}},
	"AWS::WAFv2::IPSet":                          {ref: "{name}|{uuid}|REGIONAL", named: "Name", attributes: attributes{"Arn": "arn:aws:wafv2:{region}:{account}:regional/ipset/{name}/{uuid}", "Id": "{uuid}"}, replace: []string{"Name", "Scope"}},
	"AWS::WAFv2::WebACLAssociation":              {ref: "{name}", attributes: attributes{}, replace: []string{"ResourceArn", "WebACLArn"}},
	"AWS::WAFv2::LoggingConfiguration":           {ref: "{prop:ResourceArn}", attributes: attributes{"ManagedByFirewallManager": "false"}, replace: []string{"ResourceArn"}},
	"AWS::Route53::RecordSet":                    {ref: "{prop:Name}", attributes: attributes{}, replace: []string{"Name", "HostedZoneId"}},
	"AWS::Route53::HostedZone":                   {ref: "Z{HEX16}", attributes: attributes{"Id": "Z{HEX16}", "NameServers": "ns-1.awsdns-00.example"}},
	"AWS::Route53::HealthCheck":                  {ref: "{uuid}", attributes: attributes{"HealthCheckId": "{uuid}"}},
	"AWS::ServiceDiscovery::PrivateDnsNamespace": {ref: "ns-{hex16}", attributes: attributes{"Arn": "arn:aws:servicediscovery:{region}:{account}:namespace/ns-{hex16}", "Id": "ns-{hex16}", "HostedZoneId": "Z{HEX16}"}, replace: []string{"Name", "Vpc"}},
	"AWS::ServiceDiscovery::Service":             {ref: "srv-{hex16}", attributes: attributes{"Arn": "arn:aws:servicediscovery:{region}:{account}:service/srv-{hex16}", "Id": "srv-{hex16}", "Name": "{name}"}, replace: []string{"Name"}},
}

// resource is a resource of a stack.
type resource struct {
	logical, kind  string
	uid            string // its own, new with each replacement
	revision       int
	properties     map[string]any
	outside        map[string]any // what somebody changed by hand, seen by drift detection
	deletionPolicy string
	stack          *stack
	unborn         bool // comes into being with the change set that is being worked out
}

func (r *resource) ref() any {
	if r.unborn {
		return "{new " + r.logical + "}"
	}
	return r.format(kinds[r.kind].ref)
}

func (r *resource) attribute(name string) (any, error) {
	format, known := kinds[r.kind].attributes[name]
	if !known {
		return nil, faultf("Template error: resource %s does not support attribute type %s in Fn::GetAtt", r.logical, name)
	}
	if r.unborn {
		return "{new " + r.logical + "." + name + "}", nil
	}
	return r.format(format), nil
}

var (
	slot  = regexp.MustCompile(`\{(hex|HEX)(\d+)\}|\{(name|short|uuid|byte|rev|account|region)\}`)
	props = regexp.MustCompile(`\{(prop|last):([A-Za-z]+)(?:\|((?:[^{}]|\{[^{}]*\})*))?\}`)
)

// format fills a format in. Equal resources give equal answers, so a second look at a stack is like the first.
func (r *resource) format(f string) string {
	f = props.ReplaceAllStringFunc(f, func(match string) string {
		m := props.FindStringSubmatch(match)
		value, _ := r.properties[m[2]].(string)
		if value == "" {
			value = m[3]
		}
		if m[1] == "last" {
			value = value[strings.LastIndex(value, "/")+1:]
		}
		return value
	})
	sum := sha256.Sum256([]byte(r.stack.id + r.logical + r.uid))
	digits := hex.EncodeToString(sum[:])
	return slot.ReplaceAllStringFunc(f, func(match string) string {
		m := slot.FindStringSubmatch(match)
		switch {
		case m[1] == "hex" || m[1] == "HEX":
			n, _ := strconv.Atoi(m[2])
			if m[1] == "HEX" {
				return strings.ToUpper(digits[:n])
			}
			return digits[:n]
		case m[3] == "name":
			return r.name(digits)
		case m[3] == "short":
			name := r.name(digits)
			return name[:min(32, len(name))]
		case m[3] == "uuid":
			return fmt.Sprintf("%s-%s-4%s-8%s-%s", digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:32])
		case m[3] == "byte":
			return strconv.Itoa(int(sum[0])%250 + 4)
		case m[3] == "rev":
			return strconv.Itoa(r.revision)
		case m[3] == "account":
			return r.stack.account
		default:
			return r.stack.region
		}
	})
}

func (r *resource) name(digits string) string {
	if given, _ := r.properties[kinds[r.kind].named].(string); given != "" {
		return given
	}
	return r.stack.name + "-" + r.logical + "-" + strings.ToUpper(digits[:12])
}
