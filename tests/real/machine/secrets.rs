//! Secrets that only root can read reach a service that is nobody in particular.

use super::boot::on_a_machine;
use super::service::{CONFIG, DOCUMENT, PUBLIC};
use support::{Client, FakeUpstream, Webhook};

const TOKEN: &str = "12345678901234567890123456789012";

#[test]
fn tokens_come_as_a_credential_and_a_reload_reads_them_too() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        machine.install().await;
        machine.write("/etc/understudy/tokens", &format!("*={TOKEN}\n"));
        machine.run("chmod 600 /etc/understudy/tokens").await;
        machine
            .edit(
                "understudy.service",
                "[Service]\nLoadCredential=tokens:/etc/understudy/tokens\n",
            )
            .await;
        let config = format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n[upstream]\nurl = \"http://{}\"\n\
             [signature]\ntokens_file = \"$CREDENTIALS_DIRECTORY/tokens\"\n\
             [[route]]\nname = \"voice\"\npath = \"/voice\"\nkind = \"voice\"\nsignature = \"enforce\"\n",
            app.address()
        );
        machine.write(CONFIG, &config);
        machine.run("systemctl restart understudy").await;

        let signed = Webhook::voice("/voice").signed("https://hooks.example.com", TOKEN);
        for _ in 0..2 {
            let response = Client::connect(PUBLIC).await.request(&signed).await;
            assert_eq!((response.status, response.text().as_str()), (200, DOCUMENT));
            let response = Client::connect(PUBLIC)
                .await
                .request(Webhook::voice("/voice"))
                .await;
            assert_eq!(response.status, 403);
            machine.run("systemctl reload understudy").await;
        }
        assert!(!machine.journal().await.contains(TOKEN));
    });
}
