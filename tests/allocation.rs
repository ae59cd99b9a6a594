//! Validating a valid UTF-8 document allocates no memory.

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use understudy::twiml::{Kind, Rules, Strictness, validate};

const VOICE: &str = concat!(
    "<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<!-- an IVR -->\n<Response>\n",
    "  <Gather input='dtmf speech' timeout='5' action='/menu?a=1&amp;b=2' method='POST' language='fr-FR'>\n",
    "    <Say voice='Polly.Mathieu'>Tapez <break time='200ms'/>1 &amp; <emphasis>attendez</emphasis> é&#233;.</Say>\n",
    "  </Gather>\n  <Dial><Number statusCallbackEvent='ringing answered' url='/x'>+14155550100</Number></Dial>\n",
    "  <Enqueue workflowSid='WW0123456789abcdef0123456789abcdef'><Task>{\"a\": [1, true]}</Task></Enqueue>\n",
    "  <Redirect>/again?x=1&amp;y=2</Redirect>\n</Response>\n",
);
const MESSAGE: &str = "<Response><Message to='+14155550100'><Body>Thanks &#x1F370;</Body><Media>https://x.example/y.png</Media></Message></Response>";

fn allocations(kind: Kind, document: Bytes) -> AllocationInfo {
    let rules = Rules::new(kind, Strictness::Strict);
    let check = || assert!(validate(document.clone(), Some("utf-8"), &rules).is_ok());
    check(); // the first use builds the grammar
    measure(check)
}

#[test]
fn a_valid_document_allocates_nothing() {
    for (kind, document) in [(Kind::Voice, VOICE), (Kind::Messaging, MESSAGE)] {
        let info = allocations(kind, Bytes::from_static(document.as_bytes()));
        assert_eq!((info.count_total, info.bytes_total), (0, 0), "{kind}");
    }
}

#[test]
fn a_long_document_with_many_attributes_allocates_nothing() {
    let say = "<Say voice='Polly.Joanna' language='en-US' loop='1'>The quick brown fox é.</Say>"
        .repeat(700);
    let relay = "<Connect><ConversationRelay url='wss://x.example' language='a' ttsLanguage='b' voice='c' hints='d'
        transcriptionLanguage='e' ttsProvider='f' transcriptionProvider='g' speechModel='h' profanityFilter='true'
        dtmfDetection='true' welcomeGreeting='i' interruptible='any' preemptible='true' debug='j'/></Connect>";
    let document = Bytes::from(format!("<Response>{say}{relay}</Response>"));
    let info = allocations(Kind::Voice, document);
    assert_eq!((info.count_total, info.bytes_total), (0, 0));
}
