//! Volumes as the kubelet makes them, and the real binary on them: each file is a symbolic link through `..data` to a folder
//! that is named after its time, and a renewal puts another folder behind `..data` in one step.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::pod::{Pod, documents, only};
use support::{Client, Response, wait_for};

/// What the ConfigMap holds.
pub(super) fn config_map() -> Value {
    only(documents("config.yaml"), "ConfigMap")["data"].clone()
}

/// What this test has in the Secret, under the keys that the manifests say to give it.
pub(super) fn secret(key: &str) -> &'static str {
    match key {
        "admin-token" => "0dd5ec8e7a0dd5ec8e7a",
        "tokens" => "*=0123456789abcdef0123456789abcdef\n",
        _ => panic!("there are no instructions to make a secret {key}"),
    }
}

/// The volumes of one pod.
pub(super) struct Volumes {
    root: TempDir,
    /// Where the pods' own paths are here.
    moved: Vec<(String, PathBuf)>,
    /// Where 0.0.0.0 is here: a pod has an address of its own.
    address: Ipv4Addr,
}

impl Volumes {
    /// Those of a pod, with an app at this address.
    pub(super) fn of(pod: &Pod, app: SocketAddr) -> Self {
        let root = TempDir::new().expect("a folder");
        let moved = pod.mounts().into_iter().map(|(path, volume)| {
            let here = root.path().join(volume["name"].as_str().expect("a name"));
            (path, here)
        });
        let volumes = Self {
            moved: moved.collect(),
            root,
            address: crate::balanced::own_address(0),
        };
        for ((_, here), (_, volume)) in volumes.moved.iter().zip(pod.mounts()) {
            let files = if volume["configMap"].is_object() {
                volumes.config_files(app)
            } else {
                let keys = ["admin-token", "tokens"];
                keys.map(|key| (key.to_owned(), secret(key).to_owned()))
                    .into()
            };
            let mode = volume["secret"]["defaultMode"].as_u64().unwrap_or(0o644);
            mount(here, &files, mode.try_into().expect("a mode"));
        }
        volumes
    }

    /// The ConfigMap's, with the paths and addresses of this test.
    fn config_files(&self, app: SocketAddr) -> Vec<(String, String)> {
        let map = config_map();
        let files = map.as_object().expect("files").iter();
        let files = files.map(|(key, text)| {
            let mut text = text.as_str().expect("a text").to_owned();
            if key == "understudy.toml" {
                for theirs in ["http://app:3000", "0.0.0.0"] {
                    assert!(text.contains(theirs), "{theirs}");
                }
                text = self
                    .here(&text)
                    .replace("http://app:3000", &format!("http://{app}"));
                text = text.replace("0.0.0.0", &self.address.to_string());
            }
            (key.clone(), text)
        });
        files.collect()
    }

    /// The same with this test's paths; the longest first, since one may begin another.
    fn here(&self, text: &str) -> String {
        let mut moved = self.moved.clone();
        moved.sort_by_key(|(theirs, _)| std::cmp::Reverse(theirs.len()));
        moved.iter().fold(text.to_owned(), |text, (theirs, here)| {
            text.replace(&format!("{theirs}/"), &format!("{}/", here.display()))
        })
    }

    /// Where the configuration is.
    pub(super) fn config(&self) -> String {
        self.here("/etc/understudy/understudy.toml")
    }

    /// Has another text in a file, as the kubelet does when its ConfigMap has changed.
    pub(super) fn renew(&self, name: &str, text: &str) {
        let folder = Path::new(&self.config())
            .parent()
            .expect("a folder")
            .to_owned();
        let old = fs::read_link(folder.join("..data")).expect("a link");
        let new = "..2026_01_02_03_04_06.123456789";
        fs::create_dir(folder.join(new)).expect("a folder");
        for file in fs::read_dir(folder.join(&old)).expect("a folder") {
            let file = file.expect("a file").file_name();
            fs::copy(folder.join(&old).join(&file), folder.join(new).join(&file)).expect("a copy");
        }
        fs::write(folder.join(new).join(name), text).expect("a file");
        symlink(new, folder.join("..data_tmp")).expect("a link");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("one step");
        fs::remove_dir_all(folder.join(old)).expect("nobody needs it");
    }

    /// Runs what the manifest says, once it takes calls.
    pub(super) async fn run(&self, pod: &Pod) -> Running {
        let arguments = pod.understudy["args"].as_array().expect("arguments");
        let arguments = arguments
            .iter()
            .map(|argument| argument.as_str().expect("a text"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .args(arguments.map(|argument| self.here(argument)))
            .current_dir(self.root.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = wait_for("a line", lines.next_line()).await.expect("a pipe");
        let line = line.unwrap_or_default();
        assert!(line.contains("listening"), "{line}");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Running {
            child,
            calls: (self.address, pod.port(&"http".into())).into(),
        }
    }
}

/// A folder as the kubelet first makes it. There all files are root's; where they can't be, they are nobody else's.
fn mount(folder: &Path, files: &[(String, String)], mode: u32) {
    let data = "..2026_01_02_03_04_05.123456789";
    fs::create_dir_all(folder.join(data)).expect("a folder");
    symlink(data, folder.join("..data")).expect("a link");
    for (name, text) in files {
        let file = folder.join(data).join(name);
        fs::write(&file, text).expect("a file");
        let is_roots = fs::metadata(&file).expect("a file").uid() == 0;
        let mode = if is_roots { mode } else { mode & 0o700 };
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("our own file");
        symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
    }
}

/// An understudy in such a pod.
pub(super) struct Running {
    child: Child,
    /// Where it takes calls.
    pub(super) calls: SocketAddr,
}

impl Running {
    /// What a port has at this path.
    pub(super) async fn get(&self, port: u16, path: &str, fields: &str) -> Response {
        let address = SocketAddr::new(self.calls.ip(), port);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
        Client::connect(address).await.request(request).await
    }

    /// The status that a probe gets.
    pub(super) async fn probe(&self, pod: &Pod, name: &str) -> u16 {
        let asked = &pod.understudy[name]["httpGet"];
        let path = asked["path"].as_str().expect("a path");
        self.get(pod.port(&asked["port"]), path, "").await.status
    }

    /// Tells it to end, as the kubelet does.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let kill = std::process::Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status();
        assert!(kill.expect("a shell runs").success());
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) {
        let status = wait_for("its end", self.child.wait())
            .await
            .expect("a child");
        assert!(status.success(), "{status}");
    }
}
