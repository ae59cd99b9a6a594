//! The manifests as data. Python reads them, since it has the package that validates them, and with it one that reads YAML.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const READ: &str =
    "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";

const VALIDATE: &str = "import json, sys, kubernetes_validate; kubernetes_validate.validate(json.loads(sys.argv[1]), sys.argv[2], strict=True)";

/// The content of a file, document by document.
pub(super) fn documents(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes");
    let read = python(&[READ, path.join(name).to_str().expect("a path")]);
    let documents: Vec<Value> = serde_json::from_slice(&read).expect("JSON");
    assert!(!documents.is_empty(), "{name}");
    documents
}

/// Expects that the schemas of this version of Kubernetes take a document, and know every key in it.
#[track_caller]
pub(super) fn assert_valid(document: &Value, version: &str) {
    python(&[VALIDATE, &document.to_string(), version]);
}

#[track_caller]
fn python(arguments: &[&str]) -> Vec<u8> {
    let mut command: Command = crate::real_app::python();
    let output = command
        .arg("-c")
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.expect("python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}:\n{said}");
    output.stdout
}

/// The one document of this kind.
pub(super) fn only(documents: Vec<Value>, kind: &str) -> Value {
    let mut of_kind = documents.into_iter().filter(|one| one["kind"] == kind);
    let found = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(of_kind.next().is_none(), "more than one {kind}");
    found
}

/// A Deployment's pod, and the understudy in it.
pub(super) struct Pod {
    pub(super) labels: Value,
    pub(super) spec: Value,
    pub(super) understudy: Value,
}

impl Pod {
    /// That of a file, whose understudy is in this list.
    pub(super) fn read(name: &str, list: &str) -> Self {
        let deployment = only(documents(name), "Deployment");
        let template = &deployment["spec"]["template"];
        let containers = template["spec"][list].as_array().expect(list);
        let understudy = containers.iter().find(|one| one["name"] == "understudy");
        Self {
            labels: template["metadata"]["labels"].clone(),
            spec: template["spec"].clone(),
            understudy: understudy.expect("an understudy").clone(),
        }
    }

    /// The number of a port of understudy's that is named.
    pub(super) fn port(&self, name: &Value) -> u16 {
        let ports = self.understudy["ports"].as_array().expect("ports");
        let port = ports.iter().find(|port| port["name"] == *name);
        let number = port.and_then(|port| port["containerPort"].as_u64());
        number
            .and_then(|number| number.try_into().ok())
            .expect("a port")
    }

    /// Where each volume is mounted, and the volume.
    pub(super) fn mounts(&self) -> Vec<(String, Value)> {
        let mounts = self.understudy["volumeMounts"].as_array().expect("mounts");
        let volumes = self.spec["volumes"].as_array().expect("volumes");
        let mounted = mounts.iter().map(|mount| {
            assert!(mount["subPath"].is_null(), "{mount} would never be renewed");
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let path = mount["mountPath"].as_str().expect("a path");
            (path.to_owned(), volume.expect("a volume").clone())
        });
        mounted.collect()
    }

    /// What the Secret is called that is mounted.
    pub(super) fn secret(&self) -> Value {
        let mounts = self.mounts().into_iter();
        let mut names = mounts.map(|(_, volume)| volume["secret"]["secretName"].clone());
        names.find(Value::is_string).expect("a secret")
    }
}
