//! The manifests that we give to people: Kubernetes's own schemas take them, and what they mount, probe and scrape is there
//! when the real binary runs on it, in folders as the kubelet makes them.

mod mount;
mod pod;

use serde_json::Value;

use pod::{Pod, documents, only};
use support::{Client, FakeUpstream, Script, Webhook, wait_for};

/// Those that hold a pod, and how an understudy gets into it.
const PODS: [(&str, &str); 2] = [
    ("deployment.yaml", "containers"),
    ("sidecar.yaml", "initContainers"),
];

/// From the oldest that our manifests say they are for, to the newest that the schemas are of.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// Whether the manifests can be read and validated here. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it
/// fails.
fn installed() -> bool {
    let probe = crate::real_app::python()
        .args(["-c", "import kubernetes_validate, yaml"])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return true;
    }
    support::skip("python3 with the package kubernetes-validate");
    false
}

#[test]
fn the_manifests_are_as_kubernetes_wants_them() {
    if !installed() {
        return;
    }
    for name in ["config.yaml", "deployment.yaml", "sidecar.yaml"] {
        for document in documents(name) {
            for version in VERSIONS {
                pod::assert_valid(&document, version);
            }
        }
    }
}

#[test]
fn an_understudy_may_do_nothing_in_particular() {
    if !installed() {
        return;
    }
    for (name, place) in PODS {
        let pod = Pod::read(name, place);
        let of_pod = &pod.spec["securityContext"];
        let said = |key: &str| {
            let own = &pod.understudy["securityContext"][key];
            if own.is_null() { &of_pod[key] } else { own }.clone()
        };
        assert_eq!(said("runAsNonRoot"), true, "{name}");
        assert_eq!(said("readOnlyRootFilesystem"), true, "{name}");
        assert_eq!(said("allowPrivilegeEscalation"), false, "{name}");
        assert_eq!(
            said("capabilities")["drop"],
            serde_json::json!(["ALL"]),
            "{name}"
        );
        assert_eq!(said("seccompProfile")["type"], "RuntimeDefault", "{name}");
    }
}

#[test]
fn the_end_of_a_pod_leaves_time_for_all_that_happens_in_it() {
    if !installed() {
        return;
    }
    let settings = mount::config_map()["understudy.toml"].clone();
    let settings = settings.as_str().expect("a text").to_owned();
    let seconds = |key: &str| -> u64 {
        let line = settings.lines().find_map(|line| line.strip_prefix(key));
        let text = line.and_then(|line| line.strip_prefix(" = \"")?.strip_suffix("s\""));
        text.expect(key).parse().expect("seconds")
    };
    for (name, place) in PODS {
        let pod = Pod::read(name, place);
        let grace = pod.spec["terminationGracePeriodSeconds"].as_u64();
        let before = pod.spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        let needed = before.unwrap_or(0) + seconds("shutdown_delay") + seconds("drain");
        assert!(grace > Some(needed), "{name}: {grace:?} for {needed} s");
    }
}

#[test]
fn a_sidecar_begins_before_the_app_and_the_services_lead_to_it() {
    if !installed() {
        return;
    }
    for (name, place) in PODS {
        let pod = Pod::read(name, place);
        let is_sidecar = pod.understudy["restartPolicy"] == "Always";
        assert_eq!(is_sidecar, place == "initContainers", "{name}");
        let services = documents(name)
            .into_iter()
            .filter(|one| one["kind"] == "Service");
        let services: Vec<_> = services.collect();
        assert!(!services.is_empty(), "{name}");
        for service in services {
            let selector = service["spec"]["selector"].as_object().expect("a selector");
            let fits = |(key, value): (&String, &Value)| pod.labels[key] == *value;
            assert!(selector.iter().all(fits), "{service}");
            let target = &service["spec"]["ports"][0]["targetPort"];
            assert_eq!(pod.port(target), 8080, "{service}");
        }
    }
}

#[tokio::test]
async fn what_is_mounted_is_good() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document("<Response/>");
    for (name, place) in PODS {
        let volumes = mount::Volumes::of(&Pod::read(name, place), app.address());
        let output = support::understudy(&["check", "--config", &volumes.config()]);
        let is_good = output.status.success() && output.stderr.is_empty();
        assert!(is_good, "{name}: {output:?}");
    }
}

#[tokio::test]
async fn probes_scrapes_and_renewed_documents_reach_an_understudy() {
    if !installed() {
        return;
    }
    for (name, place) in PODS {
        let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/plain", "oops"));
        let pod = Pod::read(name, place);
        let volumes = mount::Volumes::of(&pod, app.address());
        let mut running = volumes.run(&pod).await;

        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert_eq!(running.probe(&pod, probe).await, 200, "{name}: {probe}");
        }
        assert_scraped_with_the_token_alone(&pod, &running).await;

        let says = async || {
            let call = Client::connect(running.calls)
                .await
                .request(Webhook::voice("/voice"))
                .await;
            assert!(call.status == 200 && call.reason().is_some(), "{call:?}");
            call.text()
        };
        assert!(says().await.contains("We are sorry"), "{name}");
        volumes.renew(
            "voice.en.xml",
            "<Response><Say>We are renewed</Say></Response>",
        );
        wait_for("the renewed document", async {
            while !says().await.contains("We are renewed") {}
        })
        .await;

        running.terminate();
        wait_for("it to be unready", async {
            while running.probe(&pod, "readinessProbe").await != 503 {}
        })
        .await;
        assert_eq!(running.probe(&pod, "livenessProbe").await, 200, "{name}");
        assert!(
            says().await.contains("We are renewed"),
            "{name}: calls are taken yet"
        );
        running.terminate(); // at once, then
        running.ended().await;
    }
}

/// As the PodMonitor says it.
async fn assert_scraped_with_the_token_alone(pod: &Pod, running: &mount::Running) {
    let monitor = only(documents("podmonitor.yaml"), "PodMonitor");
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (key, value) in labels.expect("labels") {
        assert_eq!(pod.labels[key], *value);
    }
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let (port, path) = (pod.port(&endpoint["port"]), endpoint["path"].as_str());
    let authorization = &endpoint["authorization"];
    let credentials = &authorization["credentials"];
    assert_eq!(credentials["name"], pod.secret());
    let token = mount::secret(credentials["key"].as_str().expect("a key"));
    let with = format!(
        "Authorization: {} {token}\r\n",
        authorization["type"].as_str().expect("a scheme")
    );
    let path = path.expect("a path");
    assert_eq!(running.get(port, path, "").await.status, 401);
    let scraped = running.get(port, path, &with).await;
    assert!(
        scraped.text().contains("understudy_build_info{"),
        "{scraped:?}"
    );
}
