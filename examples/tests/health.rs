//! The health checks of the example, against servers on loopback.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::process::Command;

/// Answers 200 under `/well` and 503 under `/ill`; under `/silent` nothing, for ever.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/well", get(|| async { "fine" }))
        .route("/ill", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/silent", get(|| async { std::future::pending::<()>().await }));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    address
}

/// A port that nobody listens on.
async fn closed() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

fn program() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join("health")
}

async fn health(arguments: &[String]) -> (Option<i32>, Vec<String>) {
    let Output { status, stdout, stderr } = Command::new(program()).args(arguments).output().await.unwrap();
    let text = if stdout.is_empty() { stderr } else { stdout };
    (status.code(), String::from_utf8(text).unwrap().lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn each_target_says_what_it_found_and_the_exit_code_sums_it_up() {
    let (server, closed) = (server().await, closed().await);
    let http = |path: &str| format!("http://{server}/{path}");
    let (well, ill, tcp) = (http("well"), http("ill"), format!("tcp://{server}"));
    let (code, lines) = health(&[well.clone(), tcp.clone()]).await;
    assert_eq!(lines, [format!("{well}: healthy: 200 OK"), format!("{tcp}: healthy: accepts connections")]);
    assert_eq!(code, Some(0));

    let (code, lines) = health(&[ill.clone(), format!("tcp://{closed}"), format!("http://{closed}/")]).await;
    assert_eq!(lines[0], format!("{ill}: unhealthy: 503 Service Unavailable"));
    assert!(lines[1].starts_with(&format!("tcp://{closed}: unhealthy: Connection refused")), "{lines:?}");
    assert!(lines[2].contains("Connection refused"), "{lines:?}");
    assert_eq!((code, lines.len()), (Some(1), 3));

    let any = ["--any".to_owned(), "--json".to_owned(), ill.clone(), well.clone()];
    let (code, lines) = health(&any).await;
    assert_eq!(
        lines,
        [
            format!(r#"{{"health":"unhealthy","seen":"503 Service Unavailable","target":"{ill}"}}"#),
            format!(r#"{{"health":"healthy","seen":"200 OK","target":"{well}"}}"#),
        ]
    );
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn what_does_not_answer_in_time_is_unhealthy() {
    let silent = format!("http://{}/silent", server().await);
    let (code, lines) = health(&["--timeout-ms".to_owned(), "200".to_owned(), silent.clone()]).await;
    assert_eq!((code, lines), (Some(1), vec![format!("{silent}: unhealthy: no answer within 200ms")]));
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (argument, said) in [
        ("ftp://host", r#"health: "ftp://host" is neither http://HOST:PORT/PATH nor tcp://HOST:PORT"#),
        ("tcp://host", r#"health: "host" is no HOST:PORT"#),
        ("tcp://:80", r#"health: ":80" is no HOST:PORT"#),
        ("--strange", "health: invalid option '--strange'"),
    ] {
        let (code, lines) = health(&[argument.to_owned()]).await;
        assert_eq!((code, lines[0].as_str()), (Some(2), said));
    }
    // Nothing would be asked at all, and nobody must take that for an answer.
    for option in ["--timeout-ms", "--attempts"] {
        let target = format!("tcp://{}", server().await);
        let (code, lines) = health(&[option.to_owned(), "0".to_owned(), target]).await;
        let told = format!("health: {option}: \"0\": number would be zero for non-zero type");
        assert_eq!((code, lines[0].as_str()), (Some(2), told.as_str()));
    }
    let (code, lines) = health(&["--attempts".to_owned(), "many".to_owned()]).await;
    assert_eq!(
        (code, lines[0].as_str()),
        (Some(2), "health: --attempts: \"many\": invalid digit found in string")
    );
    let (code, lines) = health(&[]).await;
    assert_eq!((code, lines[0].as_str()), (Some(2), "health: no TARGET was given"));
}
