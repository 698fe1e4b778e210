//! One promotion after the other through three stages with approvals, durable.

use mcp_benches::BareSqlite;
use mcp_promotion::{AllowList, Engine, Pipeline, Policy, SqliteJournal, State};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, median, release, shown, timed};

const STAGES: [&str; 3] = ["dev", "staging", "prod"];
const PROMOTIONS: u64 = 200;
const AT_MOST_MS: f64 = 50.0;

async fn promote(engine: &Engine, number: u64) {
    let release = release(number);
    for stage in STAGES {
        let id = engine.request(stage, &release, "alice").await.expect("a request");
        engine.approve(&id, "bob").await.expect("an approval");
        assert_eq!(engine.wait(&id).await.expect("an end"), State::Succeeded);
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = BareSqlite::create(folder.path()).expect("a database");
    let approved = || Policy::unverified("a benchmark").approvals(1);
    let pipeline = Pipeline::builder()
        .stage("dev", approved())
        .stage("staging", approved().after("dev"))
        .stage("prod", approved().after("staging"))
        .build()
        .expect("a pipeline");
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let builder = Engine::builder(pipeline, journal).authorizer(AllowList::of(["bob"]).expect("a name"));
    let engine = STAGES
        .into_iter()
        .fold(builder, |builder, stage| builder.stage(stage, AtOnce::default()))
        .build()
        .expect("an engine");
    let driver = runtime.spawn(engine.clone().run());
    let (mut lives, mut transactions) = (Vec::new(), Vec::new());
    for number in 0..PROMOTIONS {
        transactions.push(timed(|| bare.transaction(&[7; 200]).expect("durable")).1);
        lives.push(timed(|| runtime.block_on(promote(&engine, number))).1);
    }
    engine.stop();
    runtime.block_on(driver).expect("it ends");
    let (life, alone) = (median(lives), median(transactions));
    vec![Figure {
        what: format!(
            "a promotion through 3 stages with approvals, SQLite journal, one at a time, median of {PROMOTIONS}"
        ),
        target: "50 ms",
        reached: shown(life),
        peer: format!(
            "one bare transaction: {}; {:.0} times",
            shown(alone),
            life.as_secs_f64() / alone.as_secs_f64()
        ),
        met: Some(life.as_secs_f64() * 1e3 <= AT_MOST_MS),
    }]
}
