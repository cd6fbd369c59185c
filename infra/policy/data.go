package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkEncryption: everything at rest under a key, everything on the way under TLS.
func checkEncryption(c *checker, s *template.Stack) {
	for _, r := range s.Each() {
		switch r.Type {
		case "AWS::RDS::DBInstance":
			c.want(r.Name, "StorageEncrypted", r.Text("StorageEncrypted"), "true")
			c.key(r, "KmsKeyId", "DataKey")
			c.key(r, "PerformanceInsightsKMSKeyId", "DataKey")
			c.key(r, "MasterUserSecret.KmsKeyId", "DataKey")
			parameters := s.Resources[r.Ref("DBParameterGroupName").Resource]
			c.want(r.Name, "rds.force_ssl", template.Text(template.Object(parameters.Get("Parameters"))["rds.force_ssl"]), "1")
			c.want(r.Name, "EnableIAMDatabaseAuthentication", r.Text("EnableIAMDatabaseAuthentication"), "true")
			c.oneOf(r.Name, "CACertificateIdentifier", r.Text("CACertificateIdentifier"), "rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
		case "AWS::ElastiCache::ReplicationGroup":
			c.want(r.Name, "AtRestEncryptionEnabled", r.Text("AtRestEncryptionEnabled"), "true")
			c.want(r.Name, "TransitEncryptionEnabled", r.Text("TransitEncryptionEnabled"), "true")
			c.want(r.Name, "TransitEncryptionMode", r.Text("TransitEncryptionMode"), "required")
			c.key(r, "KmsKeyId", "DataKey")
			c.want(r.Name, "AuthToken", r.Text("AuthToken"), "{{resolve:secretsmanager:${RedisAuthToken}}}")
		case "AWS::SecretsManager::Secret":
			c.key(r, "KmsKeyId", "DataKey", "OpsKey")
		case "AWS::Logs::LogGroup":
			c.key(r, "KmsKeyId", "OpsKey", "LogKey")
			if days := r.Int("RetentionInDays"); days < 1 {
				c.say(r.Name, "it is kept for ever: there is no RetentionInDays")
			}
		case "AWS::SNS::Topic":
			c.key(r, "KmsMasterKeyId", "OpsKey")
			if !c.tlsOnly(s, r) {
				c.say(r.Name, "no policy denies what comes without TLS")
			}
		case "AWS::SQS::Queue":
			c.want(r.Name, "SqsManagedSseEnabled", r.Text("SqsManagedSseEnabled"), "true")
			if !c.tlsOnly(s, r) {
				c.say(r.Name, "no policy denies what comes without TLS")
			}
		case "AWS::EC2::Volume":
			c.want(r.Name, "Encrypted", r.Text("Encrypted"), "true")
		case "AWS::EC2::Instance", "AWS::EC2::LaunchTemplate":
			c.disks(r)
		case "AWS::KMS::Key":
			c.want(r.Name, "EnableKeyRotation", r.Text("EnableKeyRotation"), "true")
		case "AWS::S3::Bucket":
			c.bucket(s, r)
		}
	}
}

// key says so when a path does not name one of the keys.
func (c *checker) key(r *template.Resource, path string, names ...string) {
	got := r.Ref(path).Resource
	for _, n := range names {
		if got == n {
			return
		}
	}
	c.say(r.Name, "%s is %q, it must be %s", path, r.Text(path), strings.Join(names, " or "))
}

func (c *checker) disks(r *template.Resource) {
	at := ""
	if r.Type == "AWS::EC2::LaunchTemplate" {
		at = "LaunchTemplateData."
	}
	c.want(r.Name, "MetadataOptions.HttpTokens", r.Text(at+"MetadataOptions.HttpTokens"), "required")
	disks := r.List(at + "BlockDeviceMappings")
	if len(disks) == 0 {
		c.say(r.Name, "its root volume is not said to be encrypted")
	}
	for _, d := range disks {
		c.want(r.Name, "its volume's encryption", template.Text(template.At(d, "Ebs.Encrypted")), "true")
	}
}

func (c *checker) bucket(s *template.Stack, r *template.Resource) {
	const encryption = "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault."
	if r.Name == "AccessLogBucket" {
		// Load balancers write with SSE-S3 only.
		c.want(r.Name, "its encryption", r.Text(encryption+"SSEAlgorithm"), "AES256")
	} else {
		c.want(r.Name, "its encryption", r.Text(encryption+"SSEAlgorithm"), "aws:kms")
		c.key(r, encryption+"KMSMasterKeyID", "DataKey")
	}
	for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		c.want(r.Name, block, r.Text("PublicAccessBlockConfiguration."+block), "true")
	}
	c.want(r.Name, "ObjectOwnership", r.Text("OwnershipControls.Rules.0.ObjectOwnership"), "BucketOwnerEnforced")
	c.want(r.Name, "versioning", r.Text("VersioningConfiguration.Status"), "Enabled")
	c.want(r.Name, "lifecycle", r.Text("LifecycleConfiguration.Rules.0.Status"), "Enabled")
	if !c.tlsOnly(s, r) {
		c.say(r.Name, "no policy denies what comes without TLS")
	}
}

// tlsOnly says whether a resource's policy denies everybody everything without TLS.
func (c *checker) tlsOnly(s *template.Stack, r *template.Resource) bool {
	for _, p := range s.Of("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy") {
		if !names(p.Get("Bucket"), r) && !names(p.Get("Queues"), r) && !names(p.Get("Topics"), r) {
			continue
		}
		for _, st := range statements(p.Get("PolicyDocument")) {
			whole := names(st.Resource, r)
			if r.Type == "AWS::S3::Bucket" {
				about := template.Texts(st.Resource)
				whole = slices.Contains(about, "${"+r.Name+".Arn}") && slices.Contains(about, "${"+r.Name+".Arn}/*")
			}
			if st.Effect == "Deny" && template.Text(st.Principal) == "*" && whole && template.Text(template.At(st.Condition, "Bool.aws:SecureTransport")) == "false" {
				return true
			}
		}
	}
	return false
}

// names says whether a value, or an element of it, refers to a resource.
func names(v any, r *template.Resource) bool {
	for ref := range template.References(v) {
		if ref.Resource == r.Name {
			return true
		}
	}
	return false
}

// checkBackups: what is kept, and what is kept from being deleted, by environment.
func checkBackups(c *checker, s *template.Stack) {
	prod := boolText(c.world.prod())
	for _, r := range s.Each() {
		switch r.Type {
		case "AWS::RDS::DBInstance":
			if days, least := r.Int("BackupRetentionPeriod"), backupDays[c.world.Env]; days < least {
				c.say(r.Name, "backups are kept for %d days, they must be for %d", days, least)
			}
			c.want(r.Name, "MultiAZ", r.Text("MultiAZ"), prod)
			c.want(r.Name, "DeletionProtection", r.Text("DeletionProtection"), prod)
			c.want(r.Name, "DeleteAutomatedBackups", r.Text("DeleteAutomatedBackups"), boolText(!c.world.prod()))
			c.want(r.Name, "CopyTagsToSnapshot", r.Text("CopyTagsToSnapshot"), "true")
			c.want(r.Name, "EnablePerformanceInsights", r.Text("EnablePerformanceInsights"), "true")
			c.want(r.Name, "ManageMasterUserPassword", r.Text("ManageMasterUserPassword"), "true")
			c.want(r.Name, "AllowMajorVersionUpgrade", r.Text("AllowMajorVersionUpgrade"), "false")
			c.stays(r, "Snapshot")
			c.connections(r)
		case "AWS::ElastiCache::ReplicationGroup":
			c.want(r.Name, "MultiAZEnabled", r.Text("MultiAZEnabled"), prod)
			c.want(r.Name, "AutomaticFailoverEnabled", r.Text("AutomaticFailoverEnabled"), prod)
			nodes := "1"
			if c.world.prod() {
				nodes = "2"
			}
			c.want(r.Name, "NumCacheClusters", r.Text("NumCacheClusters"), nodes)
			c.stays(r, "Snapshot")
		case "AWS::ElasticLoadBalancingV2::LoadBalancer":
			c.want(r.Name, "deletion protection", attribute(r, "deletion_protection.enabled"), prod)
		case "AWS::KMS::Key", "AWS::S3::Bucket":
			c.stays(r, "Retain")
		case "AWS::EC2::Volume":
			c.stays(r, "Snapshot")
		}
	}
}

func (c *checker) stays(r *template.Resource, policy string) {
	c.want(r.Name, "DeletionPolicy", r.DeletionPolicy, policy)
	c.want(r.Name, "UpdateReplacePolicy", r.UpdateReplacePolicy, policy)
}

// connections: the pools of both halves at their most fit into what PostgreSQL takes by its memory.
func (c *checker) connections(db *template.Resource) {
	s := c.world.Stacks[c.stack]
	held := 0
	for _, size := range sizes {
		per, err := strconv.Atoi(template.Text(s.Parameters[size.prefix+"DatabaseConnections"]))
		if size.system != c.stack || err != nil {
			continue
		}
		most, _ := strconv.Atoi(template.Text(s.Parameters[size.prefix+"MaxCapacity"]))
		held += 2 * most * per
	}
	memory, known := databaseMemoryGib[db.Text("DBInstanceClass")]
	if !known {
		c.say(db.Name, "the tables do not say how much memory %s has", db.Text("DBInstanceClass"))
	}
	if most := min(memory<<30/9531392, 5000); held > most-100 {
		c.say(db.Name, "the services may hold %d connections, and a %s takes %d", held, db.Text("DBInstanceClass"), most)
	}
}

// attribute is the value of a load balancer's attribute.
func attribute(r *template.Resource, key string) string {
	for _, a := range r.List("LoadBalancerAttributes") {
		if template.Text(template.At(a, "Key")) == key {
			return template.Text(template.Object(a)["Value"])
		}
	}
	return ""
}
