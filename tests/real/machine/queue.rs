//! Callbacks are queued within the unit's own sandbox, and what waits outlives restarts and a removal of the package.

use super::boot::{Machine, on_a_machine};
use super::service::{CONFIG, PUBLIC};
use support::{Client, FakeUpstream, Response, Webhook};

const QUEUE: &str = r#"
[queue]
path = "/var/lib/understudy/queue"
[[route]]
name = "status"
path = "/status"
kind = "callback"
when_down = "queue"
"#;

impl Machine {
    /// Has it queue status callbacks. A queue that wasn't there needs a restart.
    async fn queue_callbacks(&self) {
        let config = self.read(CONFIG);
        self.write(CONFIG, &format!("{config}{QUEUE}"));
        self.run("systemctl restart understudy").await;
        self.is_active().await;
    }
}

async fn callback(call: &str) -> Response {
    let mut client = Client::connect(PUBLIC).await;
    let callback = Webhook::status_callback("/status").with("CallSid", call);
    client.request(callback).await
}

#[test]
fn a_queued_callback_outlives_a_removal_of_the_package_and_is_delivered_by_the_next_one() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.queue_callbacks().await;
        let queued = callback("CA1").await;
        assert_eq!(
            (queued.status, queued.header("understudy-queued")),
            (204, Some("connect"))
        );
        let modes = machine
            .run("stat --format='%a %F' /var/lib/private/understudy /var/lib/private/understudy/queue; stat --format=%a /var/lib/private/understudy/queue/*")
            .await;
        let mut modes = modes.lines();
        assert_eq!(modes.next(), Some("700 directory"));
        assert_eq!(modes.next(), Some("700 directory"));
        let files: Vec<_> = modes.collect();
        assert!(
            !files.is_empty() && files.iter().all(|mode| *mode == "600"),
            "{files:?}"
        );
        let listed = machine.run("understudy queue list").await;
        assert!(listed.contains("CA1"), "{listed}");

        machine.run("dpkg --remove understudy").await;
        machine.install().await;
        let app = FakeUpstream::with_document("<Response/>");
        machine.point_to(&app);
        machine.run("systemctl reload understudy").await;
        app.wait_for_requests(1).await;
        assert_eq!(app.requests()[0].target(), "/status");
    });
}
