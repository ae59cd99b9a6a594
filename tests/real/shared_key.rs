//! A webhook that Twilio has signed with a SharedKey: the check in Twilio's own packages still passes behind us, and fails for a
//! forged one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::proxy::{NAMED, lenient};
use crate::real_app::{App, Kind, SHARED_KEY_SECRET};
use support::Webhook;

const PUBLIC_URL: &str = "https://hooks.example.com";

#[tokio::test]
async fn an_apps_own_check_of_a_shared_key_passes_behind_us() {
    for kind in Kind::installed([Kind::Flask, Kind::Express]) {
        let app = App::start(kind);
        let sidecar = lenient(app.address, NAMED).await;
        for (webhook, path) in [
            (Webhook::voice("/voice/incoming"), "voice"),
            (Webhook::sms("/sms/incoming"), "sms"),
            (Webhook::voice("/voice/incoming").get(), "voice by GET"),
        ] {
            for (secret, status) in [(SHARED_KEY_SECRET, 200), ("another", 403)] {
                let signature = sign(secret, &webhook.message(PUBLIC_URL));
                let webhook = webhook
                    .clone()
                    .signature(&signature)
                    .header("X-Forwarded-Proto", "https")
                    .header(
                        "X-Twilio-Webhooks-Signature-Settings",
                        "key=webhooks_sharedkey_01kabc,algorithm=HMAC_SHA256",
                    );
                let got = sidecar.request(&webhook).await;
                assert_eq!(got.status, status, "{kind} {path}: {got:?}");
            }
        }
    }
}

fn sign(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key is good");
    mac.update(message.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
