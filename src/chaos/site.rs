//! The environment of a run: servers behind proxies that can be cut, and queues, buckets and databases of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use mongodb::Database;
use muster_actors::ports::queue_metrics::Depth;

use super::ChaosError;
use super::plan::Dependency;
use super::proxy::Proxy;
use super::servers::Servers;
use muster_aws::clients::Clients;
use muster_aws::depth::depth;
use muster_config::Layers;

/// Servers with a proxy in front of each service.
pub struct ProxiedServers {
    servers: Servers,
    sqs: Proxy,
    s3: Proxy,
    mongo: Proxy,
    redis: Proxy,
    clients: Clients,
}

/// Clients of the services at `url`.
async fn clients(url: &str) -> Clients {
    let settings = Layers::defaults().settings().map(|mut settings| {
        settings.fleet.endpoint = url.to_owned();
        settings
    });
    // The settings that are built in are right: a test of the settings holds that.
    let settings = settings.unwrap_or_else(|error| unreachable!("built-in settings: {error}"));
    let keys = Credentials::new("test", "test", None, None, "test");
    let config = Clients::new(&settings).await.config.to_builder();
    let retries = aws_config::retry::RetryConfig::standard().with_max_attempts(8);
    let config = config.credentials_provider(SharedCredentialsProvider::new(keys)).retry_config(retries).build();
    Clients::from_config(config, &settings)
}

impl ProxiedServers {
    /// Starts the servers.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when the servers do not start, [`ChaosError::Io`] when no port can be opened.
    pub async fn start(command: &[String]) -> Result<Arc<Self>, ChaosError> {
        let servers = Servers::start(command, &["mongo", "redis", "aws"])?;
        let wire = async |server| Proxy::start(servers.url(server)?).await.map_err(ChaosError::io("a port"));
        let (sqs, s3) = (wire("aws").await?, wire("aws").await?);
        let (mongo, redis) = (wire("mongo").await?, wire("redis").await?);
        let clients = clients(servers.url("aws")?).await;
        Ok(Arc::new(Self { servers, sqs, s3, mongo, redis, clients }))
    }

    /// Returns the proxy in front of a service.
    pub(crate) fn wire(&self, to: Dependency) -> &Proxy {
        match to {
            Dependency::Sqs => &self.sqs,
            Dependency::S3 => &self.s3,
            Dependency::Mongo => &self.mongo,
            Dependency::Redis => &self.redis,
        }
    }

    /// Kills a service's server, and starts it again after a while.
    pub(crate) fn restart(&self, of: Dependency, after: Duration) -> Result<(), ChaosError> {
        let server = match of {
            // One server provides both services, and it must write its state to disk, so it is stopped in good order.
            Dependency::Sqs | Dependency::S3 => "aws",
            Dependency::Mongo => "mongo",
            Dependency::Redis => "redis",
        };
        self.servers.tell(if server == "aws" { "stop" } else { "kill" }, server)?;
        std::thread::sleep(after);
        self.servers.tell("start", server)
    }

    /// Returns clients that bypass the proxies.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    fn mongo(&self, wire: bool) -> Result<String, ChaosError> {
        let place = if wire { self.mongo.url() } else { self.servers.url("mongo")?.to_owned() };
        let place = place.split_once("://").map_or(place.as_str(), |(_, place)| place);
        Ok(place.split('/').next().unwrap_or(place).to_owned())
    }
}

/// Queues, bucket and databases of one run.
pub struct Site {
    /// Servers, shared with other runs.
    pub servers: Arc<ProxiedServers>,
    name: &'static str,
    /// Bucket of photos. Runs share it, because an image's id includes the bucket's name.
    pub photos: String,
    /// Queue of images.
    pub images: String,
    /// Queue of galleries.
    pub galleries: String,
    /// Queue of dead letters.
    pub dead_letters: String,
    /// Seconds that a message is leased for.
    pub lease: u64,
    /// Folder of the workers' logs.
    pub logs: PathBuf,
}

impl Site {
    /// Creates the queues and buckets; databases are created by the first write.
    ///
    /// # Errors
    /// [`ChaosError::Server`] when SQS or S3 fails.
    pub async fn make(
        servers: &Arc<ProxiedServers>,
        name: &'static str,
        lease: u64,
        logs: PathBuf,
    ) -> Result<Self, ChaosError> {
        let Clients { sqs, s3, .. } = servers.clients();
        let queue = async |of: &str| {
            let made = sqs.create_queue().queue_name(format!("{name}-{of}")).send().await;
            Ok(made.map_err(ChaosError::server("SQS"))?.queue_url.unwrap_or_default())
        };
        let (images, galleries, dead_letters) =
            (queue("images").await?, queue("galleries").await?, queue("dead").await?);
        let photos = "photos".to_owned();
        for bucket in [photos.clone(), format!("{name}-groups")] {
            s3.create_bucket().bucket(bucket).send().await.map_err(ChaosError::server("S3"))?;
        }
        Ok(Self { servers: Arc::clone(servers), name, photos, images, galleries, dead_letters, lease, logs })
    }

    /// Returns the environment variables by which a worker finds the servers, through the proxies.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when MongoDB was not started.
    pub fn environment(&self, metadata: &str) -> Result<Vec<(&'static str, String)>, ChaosError> {
        let place = self.servers.mongo(true)?;
        let uri = |database: &str| {
            let timeouts = "serverSelectionTimeoutMS=5000&connectTimeoutMS=3000";
            format!("mongodb://{place}/{}_{database}?directConnection=true&{timeouts}", self.name)
        };
        Ok(vec![
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT_URL", self.servers.sqs.url()),
            ("MUSTER_QUEUES__ENDPOINT", self.servers.sqs.url()),
            ("MUSTER_BUCKETS__ENDPOINT", self.servers.s3.url()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.to_owned()),
            ("QUEUE_URL", self.images.clone()),
            ("GROUP_FACE_QUEUE_URL", self.galleries.clone()),
            ("DEAD_LETTER_QUEUE_URL", self.dead_letters.clone()),
            ("BUCKET_NAME", self.photos.clone()),
            ("FACE_GROUP_BUCKET_NAME", format!("{}-groups", self.name)),
            ("GALLERY_IMAGES_MONGO_URI", uri("gallery_images")),
            ("HUEMN_MONGO_URI", uri("huemn")),
            ("REDIS_URL", self.servers.redis.url().replace("http://", "redis://")),
            // Analyses are not cached, because otherwise the same photos under many keys would be no work.
            ("MUSTER_REDIS__ANALYSIS_SECONDS", "1".into()),
            ("MUSTER_QUEUES__WAIT_SECONDS", "1".into()),
            ("MUSTER_QUEUES__GROUP_AFTER_SECONDS", "3".into()),
            ("MESSAGE_VISIBILITY_TIMEOUT", self.lease.to_string()),
            ("MUSTER_FLEET__MODE", "ecs".into()),
            ("MUSTER_FLEET__OUTAGE_MINUTES", "1".into()),
            ("MUSTER_PIPELINE__HANG_SECONDS", "10".into()),
            ("MUSTER_MODELS__PACK", super::stand_in::PACK.into()),
        ])
    }

    /// Opens a database of this run, without a proxy.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when MongoDB was not started, [`ChaosError::Server`] when it fails.
    pub async fn database(&self, database: &str) -> Result<Database, ChaosError> {
        let uri = format!("mongodb://{}/?directConnection=true", self.servers.mongo(false)?);
        let client = mongodb::Client::with_uri_str(uri).await.map_err(ChaosError::server("MongoDB"))?;
        Ok(client.database(&format!("{}_{database}", self.name)))
    }

    /// Counts the messages in a queue.
    ///
    /// # Errors
    /// [`ChaosError::Server`] when SQS fails.
    pub async fn depth(&self, queue: &str) -> Result<Depth, ChaosError> {
        depth(&self.servers.clients().sqs, queue).await.map_err(|fault| ChaosError::server("SQS")(fault.message))
    }
}
