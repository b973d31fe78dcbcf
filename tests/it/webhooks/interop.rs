//! Deliveries are verified by the libraries that receivers use, in two other languages: `script/bootstrap test` installs
//! them into this folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use shelfwise::tenant::webhooks::signing::{Secret, headers};

/// What a receiver gets, the secret that it knows, and whether it is to believe it.
struct Case {
    name: String,
    secret: String,
    headers: HeaderMap,
    body: Vec<u8>,
    is_authentic: bool,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/webhooks")
}

/// Bodies of all kinds, signed by one secret and by two, which receivers are to believe.
fn authentic(now: DateTime<Utc>) -> Vec<Case> {
    let (old, new) = (Secret::new([0xfb; 32]), Secret::new([2; 32]));
    let long = json!({ "data": "x".repeat(20_000) }).to_string();
    let bodies = [
        ("plain", r#"{"type":"order.paid","data":{"id":"order_1"}}"#),
        ("spaced", "{ \"a\" :\t1,\n\"b\": [ ] }\n"),
        ("unicode", r#"{"title":"Bücher über 東京 📚","escaped":"\u00fc"}"#),
        ("empty", "{}"),
        ("long", &long),
    ];
    let mut cases = Vec::new();
    for (name, body) in bodies {
        let mut case = |name: String, secret: &Secret, signed_by: &[&Secret]| {
            let headers = headers(signed_by, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", now, body.as_bytes()).unwrap();
            cases.push(Case { name, secret: secret.reveal(), headers, body: body.into(), is_authentic: true });
        };
        case(format!("{name}, one secret"), &new, &[&new]);
        case(format!("{name}, two secrets, the new one known"), &new, &[&new, &old]);
        case(format!("{name}, two secrets, the old one known"), &old, &[&new, &old]);
    }
    cases
}

/// What was not signed as it came, or too long ago.
fn forged(now: DateTime<Utc>) -> Vec<Case> {
    let (secret, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
    let body = br#"{"total":1}"#;
    let signed = |at| headers(&[&secret], "msg_1", at, body).unwrap();
    let changed = |name: &'static str, value: String| {
        let mut headers = signed(now);
        headers.insert(name, value.parse().unwrap()).unwrap();
        headers
    };
    let forged = |name: &str, secret: &Secret, headers: HeaderMap, body: &[u8]| Case {
        name: name.to_owned(),
        secret: secret.reveal(),
        headers,
        body: body.to_vec(),
        is_authentic: false,
    };
    vec![
        forged("another body", &secret, signed(now), br#"{"total":2}"#),
        forged("a body of the same meaning", &secret, signed(now), br#"{"total": 1}"#),
        forged("another id", &secret, changed("webhook-id", "msg_2".to_owned()), body),
        forged("another time", &secret, changed("webhook-timestamp", (now.timestamp() + 1).to_string()), body),
        forged("an old time", &secret, signed(now - TimeDelta::minutes(6)), body),
        forged("a time to come", &secret, signed(now + TimeDelta::minutes(6)), body),
        forged("another secret", &other, signed(now), body),
    ]
}

/// Has a library verify the cases, and holds it to what is expected of each.
fn verify(program: &Path, script: &str, cases: &[Case]) {
    let hint = "run `script/bootstrap test`, which installs what receivers verify with";
    let mut process = Command::new(program)
        .arg(folder().join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not run ({error}): {hint}", program.display()));
    let input: Vec<Value> = cases
        .iter()
        .map(|case| {
            let headers: Map<String, Value> =
                case.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
            json!({ "secret": case.secret, "headers": headers, "body": STANDARD.encode(&case.body) })
        })
        .collect();
    // A program that dies early closes its end, and says why by its status.
    process.stdin.take().unwrap().write_all(json!(input).to_string().as_bytes()).ok();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed, see above: {hint}");
    let answers: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(answers) {
        assert_eq!(answer, if case.is_authentic { "accepted" } else { "refused" }, "{script}: {}", case.name);
    }
}

#[test]
fn receivers_believe_what_we_sign_and_nothing_else() {
    let now = Utc::now();
    let mut cases = authentic(now);
    cases.extend(forged(now));
    verify(Path::new("node"), "verify.mjs", &cases);
    verify(&folder().join(".venv/bin/python"), "verify.py", &cases);
}
