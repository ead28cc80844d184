//! What a signature policy refuses does not come here. skopeo judges the policies that Debian's understands.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::needs;
use crate::pull::no_image;
use crate::support::image::{OCI_CONFIG, OCI_MANIFEST};
use crate::support::images;
use crate::support::registry::Registry;
use crate::support::user::Ran;
use crate::support::{Home, digest, read_json};

/// A registry with an image, and keys to sign it.
struct Signing {
    home: Home,
    registry: Registry,
    /// Of the image at `signed:1`.
    manifest: String,
}

impl Signing {
    fn new() -> Self {
        let (home, registry) = (Home::new(), Registry::start());
        let busybox = images::get("busybox");
        registry.push(&busybox, "signed:1");
        let manifest = busybox.digest.clone().expect("a manifest");
        let it = Self {
            home,
            registry,
            manifest,
        };
        it.key(
            "key",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        );
        it
    }

    /// Makes a pair of keys.
    fn key(&self, name: &str, kind: &[&str]) {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        let openssl = || self.home.program("openssl");
        openssl()
            .args(["genpkey", "-out", private.as_str()])
            .args(kind)
            .ok();
        openssl()
            .args(["pkey", "-in", &private, "-pubout", "-out", &public])
            .ok();
    }

    fn reference(&self) -> String {
        format!("{}/signed:1", self.registry.host())
    }

    fn url(&self) -> String {
        format!("docker://{}", self.reference())
    }

    /// Signs that `name` is `manifest`, and attaches this to the image whose digest is `to`.
    fn attach(&self, key: &str, name: &str, manifest: &str, to: &str) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": manifest},
                "type": "cosign container image signature",
            },
            "optional": {"creator": "a test", "timestamp": 1_700_000_000},
        });
        self.attach_payload(key, payload.to_string().as_bytes(), to);
    }

    fn attach_payload(&self, key: &str, payload: &[u8], to: &str) {
        self.home.write("payload", payload);
        let sign = match key {
            "ed25519" => format!("openssl pkeyutl -sign -rawin -inkey {key}.pem -in payload"),
            _ => format!("openssl dgst -sha256 -sign {key}.pem payload"),
        };
        let signature = self.home.sh(&format!("{sign} | base64 -w0")).ok();
        let config = self.home.write("config", b"{}");
        let path = self.home.join("payload");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest(b"{}"), "size": 2},
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": digest(payload),
                "size": payload.len(),
                "annotations": {"dev.cosignproject.cosign/signature": signature.text()},
            }],
        });
        let tag = format!("{}.sig", to.replace(':', "-"));
        let is_config = digest(b"{}");
        let blob = |wanted: &str| match wanted == is_config {
            true => config.clone(),
            false => path.clone(),
        };
        let manifest = manifest.to_string();
        self.registry
            .push_manifest("signed", &tag, manifest.as_bytes(), &blob);
    }

    /// A policy with one requirement for the registry, and none for the rest.
    fn policy(&self, requirement: &Value) -> PathBuf {
        let host = self.registry.host();
        let policy = json!({
            "default": [{"type": "insecureAcceptAnything"}],
            "transports": {"docker": {host: [requirement]}},
        });
        self.home.write("policy.json", policy.to_string())
    }

    fn by_key(&self, key: &str) -> Value {
        json!({"type": "sigstoreSigned", "keyPath": self.home.join(format!("{key}.pub"))})
    }

    fn pull(&self, policy: &Path) -> Ran {
        let policy = policy.to_str().unwrap();
        let url = self.url();
        self.home
            .berth(["pull", "-q", "--signature-policy", policy, &url])
            .run()
    }

    /// skopeo judges a policy likewise; only of sigstore Debian's knows nothing.
    #[track_caller]
    fn skopeo_agrees(&self, requirement: &Value, rejects: bool) {
        let to = self.home.join("judged");
        let _ = fs::remove_dir_all(&to);
        let ran = self
            .home
            .program("skopeo")
            .env("REGISTRY_AUTH_FILE", self.home.write("auth.json", "{}"))
            .args(["--policy", self.policy(requirement).to_str().unwrap()])
            .args([
                "copy",
                "-q",
                "--remove-signatures",
                "--src-tls-verify=false",
            ])
            .args([&self.url(), &format!("dir:{}", to.display())])
            .run();
        match rejects {
            true => drop(ran.code(1).err_has("Source image rejected")),
            false => drop(ran.code(0)),
        }
    }

    #[track_caller]
    fn accepts(&self, requirement: &Value) {
        let policy = self.policy(requirement);
        self.pull(&policy).code(0);
        self.home.berth(["rmi", &self.reference()]).ok();
    }

    #[track_caller]
    fn refuses(&self, requirement: &Value, why: &str) {
        let policy = self.policy(requirement);
        let line = format!(
            "error: cannot pull {}: policy {} refuses it: {why}\n",
            self.url(),
            policy.display()
        );
        self.pull(&policy).code(1).one_error().err_has(&line);
        no_image(&self.home);
    }
}

#[test]
fn a_signed_image_comes_and_others_do_not() {
    needs!(Images, Registry);
    let it = Signing::new();
    let by_key = it.by_key("key");
    it.refuses(&by_key, "it asks for a signature, and the image has none");
    it.attach("key", &it.reference(), &it.manifest, &it.manifest);
    it.accepts(&by_key);
    it.key(
        "other",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    );
    it.refuses(
        &it.by_key("other"),
        "no signature of the image will do: it is of another key",
    );
    let data = fs::read(it.home.join("key.pub")).unwrap();
    let data = it.home.program("base64").args(["-w0"]).input(data).ok();
    it.accepts(&json!({"type": "sigstoreSigned", "keyData": data.text()}));
}

#[test]
fn every_kind_of_key_is_understood() {
    needs!(Images, Registry);
    let it = Signing::new();
    it.key(
        "p384",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    );
    it.key(
        "rsa",
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    );
    it.key("ed25519", &["-algorithm", "ED25519"]);
    for key in ["p384", "rsa", "ed25519"] {
        it.attach(key, &it.reference(), &it.manifest, &it.manifest);
        it.accepts(&it.by_key(key));
        it.refuses(
            &it.by_key("key"),
            "no signature of the image will do: it is of another key",
        );
    }
}

#[test]
fn a_signature_is_for_one_image_and_one_name() {
    needs!(Images, Registry);
    let it = Signing::new();
    let by_key = it.by_key("key");
    let other = digest(b"other");
    it.attach("key", &it.reference(), &other, &it.manifest);
    it.refuses(
        &by_key,
        "no signature of the image will do: it is for another image",
    );
    let host = it.registry.host();
    it.attach(
        "key",
        &format!("{host}/signed:2"),
        &it.manifest,
        &it.manifest,
    );
    it.refuses(
        &by_key,
        "no signature of the image will do: it is for another name",
    );
    let mut repository = by_key.clone();
    repository["signedIdentity"] = json!({"type": "matchRepository"});
    it.accepts(&repository);
    it.attach_payload("key", b"{\"critical\":{}}", &it.manifest);
    it.refuses(
        &by_key,
        "no signature of the image will do: what it signs is not understood",
    );
}

#[test]
fn what_cannot_be_checked_is_refused() {
    needs!(Images, Registry);
    let it = Signing::new();
    it.attach("key", &it.reference(), &it.manifest, &it.manifest);
    let reject = json!({"type": "reject"});
    it.skopeo_agrees(&reject, true);
    it.refuses(&reject, "it rejects the image");
    let accept = json!({"type": "insecureAcceptAnything"});
    it.skopeo_agrees(&accept, false);
    it.accepts(&accept);
    let gpg = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": it.home.join("key.pub")});
    it.skopeo_agrees(&gpg, true);
    it.refuses(&gpg, "it asks for signedBy, which berth cannot check");
    for keyless in ["fulcio", "rekorPublicKeyPath", "pki"] {
        let mut both = it.by_key("key");
        both[keyless] = json!("x");
        let why = format!("it asks for {keyless}, which berth cannot check");
        it.refuses(&both, &why);
    }
    it.refuses(
        &json!({"type": "sigstoreSigned", "keyPath": "/nowhere"}),
        "cannot read its key /nowhere: No such file or directory",
    );
    it.refuses(
        &json!({"type": "prayer"}),
        "it asks for prayer, which berth cannot check",
    );
    let policy = it.home.write("policy.json", "{\"default\":[");
    it.pull(&policy).code(1).one_error().err_has(&format!(
        "error: cannot pull {}: policy {} is malformed: ",
        it.url(),
        policy.display()
    ));
    let missing = it.home.join("missing.json");
    it.pull(&missing)
        .code(1)
        .one_error()
        .err_has(": No such file or directory");
    no_image(&it.home);
}

/// An index names its manifests by digest, so who signed it has signed them.
#[test]
fn an_index_and_its_manifest_speak_for_each_other() {
    needs!(Images, Registry);
    let it = Signing::new();
    it.registry.push(&images::get("multi"), "signed:1");
    let layout = images::get("multi").path;
    let index = read_json(&layout.join("index.json"));
    let top = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let by_key = it.by_key("key");
    it.refuses(&by_key, "it asks for a signature, and the image has none");
    it.attach("key", &it.reference(), &top, &top);
    let policy = it.policy(&by_key);
    it.pull(&policy).code(0);
    it.home.berth(["rmi", &it.reference()]).ok();
    let blob = layout.join("blobs").join(top.replace(':', "/"));
    let entries = read_json(&blob)["manifests"].clone();
    let native = entries
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["platform"]["architecture"] == "amd64");
    let native = native.unwrap()["digest"].as_str().unwrap().to_owned();
    // The signature of the index does not count under another digest.
    it.key(
        "other",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    );
    it.attach("other", &it.reference(), &top, &top);
    it.attach("key", &it.reference(), &top, &native);
    it.refuses(
        &by_key,
        "no signature of the image will do: it is for another image, it is of another key",
    );
    it.attach("key", &it.reference(), &native, &native);
    it.accepts(&by_key);
}

/// The file of the user counts, without a flag.
#[test]
fn the_users_own_policy_is_read() {
    needs!(Images, Registry);
    let it = Signing::new();
    fs::create_dir_all(it.home.join(".config/containers")).unwrap();
    let policy = json!({"default": [{"type": "reject"}]}).to_string();
    let path = it.home.write(".config/containers/policy.json", policy);
    it.home
        .berth(["pull", &it.url()])
        .env("HOME", it.home.path())
        .fails(1)
        .one_error()
        .err_has(&format!(
            "policy {} refuses it: it rejects the image\n",
            path.display()
        ));
    no_image(&it.home);
    it.home
        .berth(["run", "--rm", &it.url(), "true"])
        .env("HOME", it.home.path())
        .fails(125)
        .one_error()
        .err_has("refuses it: it rejects the image\n");
    no_image(&it.home);
}
