//! ECR: what is pushed can be pulled again, layer by layer. Needs a Python with moto, as tests/local_aws.rs does.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecs_local::LocalAws;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::support::Aws;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A repository of a local AWS.
struct Ecr(Aws);

impl Ecr {
    async fn start() -> Ecr {
        let ecr = Ecr(Aws::instant().await);
        ecr.ok("CreateRepository", json!({"repositoryName": "web"}));
        ecr
    }

    fn call(&self, operation: &str, mut request: Value) -> (u16, Value) {
        if request["repositoryName"].is_null() {
            request["repositoryName"] = json!("web");
        }
        self.0.json("ecr", &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), request)
    }

    fn ok(&self, operation: &str, request: Value) -> Value {
        let (status, answer) = self.call(operation, request);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    fn refused(&self, operation: &str, request: Value) -> String {
        let (status, answer) = self.call(operation, request);
        assert_eq!(status, 400, "{operation}: {answer}");
        answer["__type"].as_str().expect("a code").to_owned()
    }

    fn begin(&self) -> Value {
        self.ok("InitiateLayerUpload", json!({}))["uploadId"].clone()
    }

    fn part(content: &[u8], upload: &Value, first: usize) -> Value {
        json!({
            "uploadId": upload, "partFirstByte": first, "partLastByte": first + content.len() - 1,
            "layerPartBlob": STANDARD.encode(content),
        })
    }

    fn upload(&self, content: &[u8]) -> String {
        let upload = self.begin();
        self.ok("UploadLayerPart", Ecr::part(content, &upload, 0));
        let digest = digest(content);
        let done = self.ok("CompleteLayerUpload", json!({"uploadId": upload, "layerDigests": [digest]}));
        assert_eq!(done["layerDigest"], digest);
        digest
    }

    /// Puts an image with this configuration; returns its digest.
    fn put(&self, config: &str, tag: &str) -> String {
        let manifest = manifest(config);
        let image = self.ok("PutImage", json!({"imageManifest": manifest, "imageTag": tag}))["image"].clone();
        assert_eq!(image["imageId"], json!({"imageDigest": digest(manifest.as_bytes()), "imageTag": tag}));
        digest(manifest.as_bytes())
    }

    fn get(&self, id: Value, accepted: Value) -> Value {
        let mut request = json!({"imageIds": [id]});
        if !accepted.is_null() {
            request["acceptedMediaTypes"] = accepted;
        }
        self.ok("BatchGetImage", request)
    }
}

fn manifest(config: &str) -> String {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": config, "size": 1}, "layers": []})
        .to_string()
}

#[tokio::test]
async fn a_layer_that_was_pushed_can_be_downloaded() {
    let ecr = Ecr::start().await;
    let config = br#"{"architecture": "arm64", "os": "linux"}"#;
    let layer = digest(config);
    let available = |ecr: &Ecr| {
        ecr.ok("BatchCheckLayerAvailability", json!({"layerDigests": [layer]}))["layers"][0]["layerAvailability"]
            .clone()
    };
    assert_eq!(available(&ecr), "UNAVAILABLE");
    let url = json!({"layerDigest": layer});
    assert_eq!(ecr.refused("GetDownloadUrlForLayer", url.clone()), "LayersNotFoundException");
    ecr.upload(config);
    assert_eq!(available(&ecr), "AVAILABLE");
    assert_eq!(ecr.refused("GetDownloadUrlForLayer", url.clone()), "LayerInaccessibleException");
    ecr.put(&layer, "1");
    let link = ecr.ok("GetDownloadUrlForLayer", url.clone())["downloadUrl"].as_str().expect("a URL").to_owned();
    let path = link.strip_prefix(&ecr.0.local.endpoint()).expect("a URL of our own");
    let (status, body) = ecr.0.send("GET", path, &[], "");
    assert_eq!((status, body.as_bytes()), (200, &config[..]));
    let last = ecr.0.local.calls().pop().expect("a call");
    assert_eq!((last.service.as_str(), last.operation.as_str()), ("s3", "GetObject"));
    let (bare, _) = path.split_once('?').expect("a signature");
    assert_eq!(ecr.0.send("GET", &format!("{bare}?X-Amz-Credential=a/b/us-east-1/s3/aws4_request"), &[], "").0, 403);
    // It is signed by its query: S3 takes no second signature.
    assert_eq!(ecr.0.send("GET", path, &[("authorization", "Basic x")], "").0, 400);
    let mut elsewhere = url;
    elsewhere["repositoryName"] = json!("api");
    assert_eq!(ecr.refused("GetDownloadUrlForLayer", elsewhere.clone()), "RepositoryNotFoundException");
    ecr.ok("CreateRepository", json!({"repositoryName": "api"}));
    assert_eq!(ecr.refused("GetDownloadUrlForLayer", elsewhere), "LayersNotFoundException");
    stop(ecr).await;
}

#[tokio::test]
async fn an_upload_is_checked_part_by_part() {
    let ecr = Ecr::start().await;
    let upload = ecr.begin();
    let complete = |digests: Value| json!({"uploadId": upload, "layerDigests": digests});
    let digest = digest(b"onetwo");
    assert_eq!(ecr.refused("CompleteLayerUpload", complete(json!([digest]))), "EmptyUploadException");
    ecr.ok("UploadLayerPart", Ecr::part(b"onetwo", &upload, 0));
    let (status, gap) = ecr.call("UploadLayerPart", Ecr::part(b"three", &upload, 7));
    assert_eq!(
        (status, &gap["__type"], &gap["lastValidByteReceived"]),
        (400, &json!("InvalidLayerPartException"), &json!(5))
    );
    assert_eq!(ecr.refused("CompleteLayerUpload", complete(json!(["sha256:00"]))), "InvalidLayerException");
    ecr.ok("CompleteLayerUpload", complete(json!([digest])));
    assert_eq!(ecr.refused("CompleteLayerUpload", complete(json!([digest]))), "UploadNotFoundException");
    let upload = ecr.begin();
    ecr.ok("UploadLayerPart", Ecr::part(b"one", &upload, 0));
    ecr.ok("UploadLayerPart", Ecr::part(b"two", &upload, 3));
    let small = json!({"uploadId": upload, "layerDigests": [digest]});
    assert_eq!(ecr.refused("CompleteLayerUpload", small), "LayerPartTooSmallException");
    stop(ecr).await;
}

#[tokio::test]
async fn an_image_is_got_by_tag_and_by_digest() {
    let ecr = Ecr::start().await;
    let first = ecr.put("sha256:01", "1");
    let tagged = ecr.get(json!({"imageTag": "1"}), json!([MANIFEST, INDEX]));
    let image = &tagged["images"][0];
    assert_eq!(image["imageId"], json!({"imageDigest": first, "imageTag": "1"}));
    assert_eq!(image["imageManifest"], manifest("sha256:01"));
    assert_eq!(image["imageManifestMediaType"], MANIFEST);
    let found = ecr.get(json!({"imageDigest": first}), Value::Null);
    assert_eq!(found["images"][0]["imageId"], json!({"imageDigest": first}));
    for (id, accepted) in [(json!({"imageTag": "9"}), Value::Null), (json!({"imageTag": "1"}), json!([INDEX]))] {
        let missing = ecr.get(id.clone(), accepted);
        let failure =
            json!([{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}]);
        assert_eq!(missing, json!({"images": [], "failures": failure}));
    }
    let elsewhere = json!({"repositoryName": "api", "imageIds": [{"imageTag": "1"}]});
    assert_eq!(ecr.refused("BatchGetImage", elsewhere), "RepositoryNotFoundException");
    stop(ecr).await;
}

#[tokio::test]
async fn a_tag_moves_and_the_image_that_had_it_stays() {
    let ecr = Ecr::start().await;
    let (old, new) = (ecr.put("sha256:01", "latest"), ecr.put("sha256:02", "latest"));
    assert_ne!(old, new);
    let by_tag = ecr.get(json!({"imageTag": "latest"}), Value::Null);
    assert_eq!(by_tag["images"][0]["imageId"]["imageDigest"], new);
    assert_eq!(ecr.get(json!({"imageDigest": old}), Value::Null)["images"][0]["imageId"]["imageDigest"], old);
    let untagged = ecr.ok("ListImages", json!({"filter": {"tagStatus": "UNTAGGED"}}));
    assert_eq!(untagged["imageIds"][0]["imageDigest"], old, "{untagged}");
    let again = json!({"imageManifest": manifest("sha256:02"), "imageTag": "latest"});
    assert_eq!(ecr.refused("PutImage", again), "ImageAlreadyExistsException");
    // Back to the first image: one image may have it at a time.
    let back = json!({"imageManifest": manifest("sha256:01"), "imageTag": "latest"});
    assert_eq!(ecr.ok("PutImage", back)["image"]["imageId"]["imageDigest"], old);
    assert_eq!(ecr.get(json!({"imageTag": "latest"}), Value::Null)["images"].as_array().map(Vec::len), Some(1));
    ecr.ok("PutImageTagMutability", json!({"imageTagMutability": "IMMUTABLE"}));
    let moved = json!({"imageManifest": manifest("sha256:02"), "imageTag": "latest"});
    assert_eq!(ecr.refused("PutImage", moved), "ImageTagAlreadyExistsException");
    stop(ecr).await;
}

#[tokio::test]
async fn what_a_manifest_names_must_be_there() {
    let ecr = Ecr::start().await;
    let image = ecr.put("sha256:01", "1");
    let index = |digest: &str| {
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": digest, "mediaType": MANIFEST}]})
            .to_string()
    };
    let put = |manifest: String| json!({"imageManifest": manifest, "imageTag": "multi"});
    assert_eq!(ecr.refused("PutImage", put(index("sha256:00"))), "ReferencedImagesNotFoundException");
    ecr.ok("PutImage", put(index(&image)));
    let found = ecr.get(json!({"imageTag": "multi"}), json!([MANIFEST, INDEX]))["images"][0].clone();
    assert_eq!((&found["imageManifest"], &found["imageManifestMediaType"]), (&json!(index(&image)), &json!(INDEX)));
    // Once layers are uploaded, a manifest has to have them.
    let layer = ecr.upload(b"{}");
    assert_eq!(ecr.refused("PutImage", put(manifest("sha256:02"))), "LayersNotFoundException");
    ecr.put(&layer, "2");
    for (request, code) in [
        (put("[".to_owned()), "InvalidParameterException"),
        (put("{}".to_owned()), "InvalidParameterException"),
        (
            json!({"imageManifest": manifest(&layer), "imageDigest": "sha256:00", "imageTag": "3"}),
            "ImageDigestDoesNotMatchException",
        ),
        (json!({"repositoryName": "api", "imageManifest": manifest(&layer)}), "RepositoryNotFoundException"),
    ] {
        assert_eq!(ecr.refused("PutImage", request), code);
    }
    stop(ecr).await;
}

/// The pusher that the tests of whole pipes use.
#[tokio::test]
async fn push_py_pushes_what_can_be_pulled() {
    let ecr = Ecr::start().await;
    let pushed = |local: &LocalAws, arguments: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/push.py");
        let python = std::env::var("ECS_LOCAL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = std::process::Command::new(python);
        command.arg(script).arg("web").args(arguments);
        local.environment().apply(&mut command);
        let output = command.output().expect("push.py runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let one = pushed(&ecr.0.local, &["1"]);
    assert_eq!(pushed(&ecr.0.local, &["1"]), one);
    assert_ne!(pushed(&ecr.0.local, &["2"]), one);
    let index = pushed(&ecr.0.local, &["3", "--arch", "multi"]);
    let found = ecr.get(json!({"imageDigest": index}), json!([INDEX]))["images"][0].clone();
    let manifest: Value = serde_json::from_str(found["imageManifest"].as_str().expect("a manifest")).expect("JSON");
    let mut architectures = Vec::new();
    for image in manifest["manifests"].as_array().expect("images") {
        let found = ecr.get(json!({"imageDigest": image["digest"]}), json!([MANIFEST]))["images"][0].clone();
        let image: Value = serde_json::from_str(found["imageManifest"].as_str().expect("a manifest")).expect("JSON");
        let layer = json!({"layerDigest": image["config"]["digest"]});
        let url = ecr.ok("GetDownloadUrlForLayer", layer)["downloadUrl"].as_str().expect("a URL").to_owned();
        let path = url.strip_prefix(&ecr.0.local.endpoint()).expect("a URL of our own");
        let config: Value = serde_json::from_str(&ecr.0.send("GET", path, &[], "").1).expect("a configuration");
        architectures.push(config["architecture"].clone());
    }
    assert_eq!(architectures, [json!("amd64"), json!("arm64")]);
    stop(ecr).await;
}

async fn stop(ecr: Ecr) {
    ecr.0.local.stop().await;
}
