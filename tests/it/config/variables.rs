//! Environment variables in the configuration. Here the binary runs, since the environment of this process is that of every test.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{FakeUpstream, Script, Sidecar, Webhook};
use understudy::twiml::Kind;

use super::{document, loads};

/// The errors and notes of a configuration in which these variables are set.
fn errors_with(path: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    let command = command.args(["check", "--config"]).arg(path);
    let output = command.envs(variables.iter().copied()).output();
    let output = output.expect("the binary runs");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Every key that takes text. The files aren't there, and that is as good: only the errors count.
const EVERY_TEXT: &str = r##"
include = ["a.toml", "b/*.toml"]
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
admin_token_file = "admin.token"
public_url = "https://hooks.example.com"
shutdown_delay = "1s"
drain = "1s"
header_timeout = "1s"
keep_alive = "1s"
tunnel_idle_timeout = "1s"
trusted_proxies = "::1"
[server.tls]
cert = "cert.pem"
key = "key.pem"
[upstream]
url = "https://127.0.0.1:3000"
host = "app"
connect_timeout = "1s"
retry_connect = "1s"
idle_timeout = "1s"
max_connection_age = "1s"
[upstream.tls]
pin = "pin.pem"
server_name = "app"
client_cert = "cert.pem"
client_key = "key.pem"
[upstreams.texts]
url = "https://127.0.0.1:3001"
tls = { ca = "ca.pem" }
[defaults]
deadline = "1s"
validate = "strict"
mode = "observe"
max_request_body = "1KiB"
after_deadline = "drain"
signature = "report"
[defaults.breaker]
probe_every = "1s"
health_path = "/health"
[signature]
tokens_file = "tokens"
[[grammar.element]]
kind = "voice"
name = "Teleport"
parents = "Response"
children = "Say"
attributes = "to"
[[grammar.attribute]]
element = "Say"
name = "mood"
[[route]]
name = "calls"
path = "/voice"
kind = "voice"
host = "hooks.example.com"
methods = "GET"
upstream = "texts"
fallback = "voice.xml"
[[route]]
name = "more-calls"
path = "/voices"
kind = "voice"
[route.fallback]
url = "https://127.0.0.1:4000/voice"
budget = "500ms"
ca = "ca.pem"
file = "voice.xml"
when = [{ param = "To", is = "+33*", inline = "<Response/>" }]
"##;

#[test]
fn an_error_never_shows_the_value_of_a_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("u.toml");
    let strings = EVERY_TEXT.match_indices('"').map(|(at, _)| at);
    let strings: Vec<_> = strings.collect();
    assert!(strings.len() > 2 * 55 && strings.len().is_multiple_of(2));
    let mut seen = 0;
    for ends in strings.chunks(2) {
        let (before, after) = (&EVERY_TEXT[..ends[0]], &EVERY_TEXT[ends[1] + 1..]);
        fs::write(&path, format!("{before}\"${{SECRET}}\"{after}")).expect("a file");
        for secret in [
            "s3cr3t",
            "s3cr3t_a:99",
            "https://s3cr3t_/é?",
            "unix:s3cr3t",
            "<Response><Say>s3cr3t</Response>",
        ] {
            let errors = errors_with(&path, &[("SECRET", secret)]);
            let line = before.lines().last().unwrap_or_default();
            let shows = errors.to_lowercase().contains("s3cr3t");
            assert!(!shows, "{line} {secret}: {errors}");
            seen += usize::from(errors.contains("${SECRET}"));
        }
    }
    assert!(seen > 100, "only {seen} errors quote it as it is written");
}

#[test]
fn the_path_of_an_included_file_is_shown_as_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("u.toml");
    fs::create_dir(folder.path().join("s3cr3t")).expect("a folder");
    let included =
        "[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nfallback = \"x.xml\"\n";
    fs::write(folder.path().join("s3cr3t/a.toml"), included).expect("a file");
    let main = "include = \"${FOLDER}/*.toml\"\n[upstream]\nurl = \"${APP}\"\n";
    fs::write(&path, main).expect("a file");
    let variables = [("FOLDER", "s3cr3t"), ("APP", "http://app")];
    assert_eq!(
        errors_with(&path, &variables),
        "${FOLDER}/a.toml:5:12: route[0].fallback: ${FOLDER}/x.xml: there is no such file; name one that exists\n"
    );
    fs::write(folder.path().join("s3cr3t/x.xml"), "<Response/>").expect("a file");
    assert_eq!(errors_with(&path, &variables), "");
}

#[test]
fn a_default_stands_for_a_variable_that_is_not_set() {
    let config = loads(Path::new("tests/it/config/valid/variables.toml"));
    assert_eq!(config.server.listen[0].to_string(), "127.0.0.1:0");
    assert_eq!(config.server.drain.as_secs(), 5);
    assert_eq!(config.proxy.upstreams[0].url(), "http://app:80");
    let route = &config.proxy.routes[0];
    assert_eq!(route.pattern.path.to_string(), "/${name}/$");
    assert_eq!(
        document(&route.fallback, Kind::Voice, "From=%2B1"),
        "<Response><Say>hello +1 ${NO_WORDS} $5</Say></Response>"
    );
}

#[tokio::test]
async fn the_environment_says_where_the_app_is_and_what_the_fallback_says() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let url = format!("APP={}", app.url());
    let route = "[[route]]\nname = \"voice\"\npath = \"/voice\"\nkind = \"voice\"\n\
                 fallback = { inline = \"<Response><Say>${WORDS}</Say></Response>\" }\n";
    let sidecar = Sidecar::before_url("${APP}")
        .routes(route)
        .within(&["env", &url, "WORDS=good evening"])
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice")).await;
    assert_eq!(response.reason(), Some("status_5xx"));
    assert!(response.text().contains("good evening"), "{response:?}");
}
