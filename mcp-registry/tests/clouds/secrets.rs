//! Credentials are shown to nobody but the server that they are for.

use mcp_core::ErrorKind;
use mcp_registry::{
    AzureCredentials, AzureSettings, AzureStorage, GcsCredentials, GcsSettings, GcsStorage, PutWhen,
    S3Credentials, S3Settings, S3Storage, Secret, StorageBackend,
};

use crate::server::{Reply, Server};
use crate::{all_of, hasty, key};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG/secret+key";
const TOKEN: &str = "FwoGZXIvYXdz/session+token==";
/// In Base64.
const ACCOUNT_KEY: &str = "c2VjcmV0LWFjY291bnQta2V5LW9mLWF6dXJl";

/// Refuses everything, and repeats every header wherever an answer has room.
async fn indiscreet() -> Server {
    Server::start(|request, _| {
        let said: String = request.headers.iter().map(|(name, value)| format!("{name}: {value} ")).collect();
        let token = format!("{}{}", request.header("x-amz-security-token"), request.header("authorization"));
        let body = format!("<Error><Code>{token}</Code><Message>{said}</Message></Error>");
        Reply::with(403, &[("x-ms-error-code", &token)], body)
    })
    .await
}

async fn refused(storage: &dyn StorageBackend, secrets: &[&str], shown: &str) {
    let a = key("a");
    let stream = futures::StreamExt::boxed(futures::stream::iter([Ok(vec![1; 9 << 20].into())]));
    let outcomes = [
        storage.put(&a, "x".into(), PutWhen::Absent).await,
        storage.put(&a, "x".into(), PutWhen::Always).await,
        storage.put_stream(&a, stream).await.map(drop),
        storage.read(&a, 0..1).await.map(drop),
        storage.stat(&a).await.map(drop),
        storage.list("").await.map(drop),
        storage.delete(&a).await,
    ];
    let mut texts = vec![shown.to_owned()];
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.expect_err("refused");
        // Azure answers an upload in parts only at its first block, and all of them with 403.
        assert_eq!(error.kind(), ErrorKind::Denied, "{n}: {}", all_of(&error));
        texts.push(all_of(&error));
    }
    for text in texts {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn no_credential_is_in_any_debug_output_or_error() {
    let server = indiscreet().await;
    let endpoint = Some(server.endpoint.clone());
    let credentials = S3Credentials::new("AK", KEY).session_token(TOKEN);
    let settings =
        S3Settings { endpoint: endpoint.clone(), remote: hasty(), ..S3Settings::new("bucket", "r") };
    let shown = format!("{settings:?} {credentials:?} {:?}", Secret::from(KEY));
    let storage = S3Storage::new(settings, &credentials).unwrap();
    refused(&storage, &[KEY, TOKEN], &format!("{shown} {storage:?}")).await;

    for (credentials, secret) in [
        (AzureCredentials::access_key(ACCOUNT_KEY), ACCOUNT_KEY),
        (AzureCredentials::bearer_token(TOKEN), TOKEN),
    ] {
        let settings = AzureSettings {
            endpoint: endpoint.clone(),
            remote: hasty(),
            ..AzureSettings::new("account", "container")
        };
        let shown = format!("{settings:?} {credentials:?}");
        let storage = AzureStorage::new(settings, &credentials).unwrap();
        refused(&storage, &[secret], &format!("{shown} {storage:?}")).await;
    }

    let credentials = GcsCredentials::bearer_token(TOKEN);
    let settings = GcsSettings { endpoint, remote: hasty(), ..GcsSettings::new("bucket") };
    let shown = format!("{settings:?} {credentials:?}");
    let storage = GcsStorage::new(settings, &credentials).unwrap();
    refused(&storage, &[TOKEN], &format!("{shown} {storage:?}")).await;
}

#[tokio::test]
async fn credentials_of_a_wrong_form_are_refused_without_being_repeated() {
    let s3 = |id: &str, key: &str| {
        S3Storage::new(S3Settings::new("b", "r"), &S3Credentials::new(id, key)).map(drop)
    };
    let azure = |credentials| AzureStorage::new(AzureSettings::new("a", "c"), &credentials).map(drop);
    let gcs = |credentials| GcsStorage::new(GcsSettings::new("b"), &credentials).map(drop);
    let json = r#"{"type":"service_account","private_key":"hidden","client_email":"hidden","private_key_id":"hidden"}"#;
    for (n, outcome) in [
        s3("AK", "hidden\n"),
        s3("hidden id", "SK"),
        s3("AK", ""),
        azure(AzureCredentials::access_key("hidden!")),
        azure(AzureCredentials::bearer_token("hidden\r\nx: y")),
        gcs(GcsCredentials::bearer_token("hidden é")),
        gcs(GcsCredentials::service_account("hidden")),
        gcs(GcsCredentials::service_account(json)),
    ]
    .into_iter()
    .enumerate()
    {
        let error = outcome.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{n}");
        assert!(!all_of(&error).contains("hidden"), "{n}: {}", all_of(&error));
    }
}

#[tokio::test]
async fn renewed_credentials_are_used_from_the_next_request_on() {
    let server = Server::start(|_, _| Reply::put()).await;
    let settings = S3Settings {
        endpoint: Some(server.endpoint.clone()),
        remote: hasty(),
        ..S3Settings::new("bucket", "us-east-1")
    };
    let storage = S3Storage::new(settings, &S3Credentials::new("first", "x")).unwrap();
    let put = async || storage.clone().put(&key("a"), "x".into(), PutWhen::Always).await.unwrap();
    put().await;
    storage.renew(&S3Credentials::new("second", "y")).unwrap();
    put().await;
    assert_eq!(
        storage.renew(&S3Credentials::new("third", "")).expect_err("no key").kind(),
        ErrorKind::Invalid
    );
    put().await;
    let by: Vec<bool> =
        server.seen().iter().map(|request| request.header("authorization").contains("=second/")).collect();
    assert_eq!(by, [false, true, true]);
}
