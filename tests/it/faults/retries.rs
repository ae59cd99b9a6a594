//! A second try is made where the app can't have seen the request, or where it can do no harm; never else for a POST.

use crate::support::{App, Sidecar, Webhook};

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let app = App::with_page("<Response/>");
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    let mut bad = 0;
    for _ in 0..3000 {
        let answer = client.ask(Webhook::voice("/voice/incoming")).await;
        if answer.reason().is_some() {
            bad += 1;
        }
        app.hang_up().await;
    }
    assert_eq!(bad, 0);
}
