//! Limits that Twilio sets for every webhook. Each is written once, here.

use std::time::Duration;

/// How long Twilio waits for a response by default: 15 s, then error 11205. Source: Twilio's "Webhook connection overrides".
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest response body that Twilio accepts: 64 KiB, which is 65,536 bytes; above that error 11750. Source: Twilio's
/// "Error 11750: TwiML response body too large".
pub const RESPONSE_LIMIT: usize = 64 * 1024;
