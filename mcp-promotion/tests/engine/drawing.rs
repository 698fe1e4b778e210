//! Timelines and pictures of pipelines, against golden files.

use mcp_promotion::{
    Calendar, Diagram, History, JudgeChoice, Level, Pipeline, Policy, RankTest, Tone, UpstreamRule,
};

use crate::scene::{MINUTE, Scene, Trick, release};

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Compares with the golden file, and says where to look when it differs.
fn golden(name: &str, drawn: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pictures");
    let kept = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    if kept != drawn {
        let seen = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&seen, drawn).unwrap();
        panic!("{name} differs; what was drawn stands in {}", seen.display());
    }
}

fn chain() -> Pipeline {
    let office =
        Calendar::weekly("office", "Europe/Berlin", [mcp_promotion::Day::Mon], "09:00", "17:00").unwrap();
    let judged = Policy::judged_by(JudgeChoice::Rank(RankTest::default()), MINUTE);
    Pipeline::builder()
        .stage("dev", plain())
        .stage("staging", Policy::healthy_for(MINUTE).after("dev").gate("scan").gate("licences"))
        .stage(
            "prod",
            judged.after("staging").soak(30 * MINUTE).approvals(2).allow(office).canary().watch(60 * MINUTE),
        )
        .build()
        .unwrap()
}

fn diamond() -> Pipeline {
    let lead = Level::new("lead".parse().unwrap(), 1);
    let security = Level::new("security".parse().unwrap(), 2);
    Pipeline::builder()
        .stage("dev", plain())
        .stage("eu", plain().after("dev"))
        .stage("us", plain().after("dev").approvals(1))
        .stage("asia", plain().after("dev"))
        .stage(
            "world",
            plain()
                .after("eu")
                .after("us")
                .after("asia")
                .upstream(UpstreamRule::AnyOf)
                .level(lead)
                .level(security),
        )
        .stage("archive", plain().after("world").after("dev"))
        .build()
        .unwrap()
}

/// Thirty stages in six layers, each after one to three of the layers before.
fn thirty() -> Pipeline {
    let mut builder = Pipeline::builder();
    for n in 0..30_usize {
        let mut policy = plain();
        for back in [5, 7, 13].into_iter().take(1 + n % 3) {
            if let Some(before) = n.checked_sub(back) {
                policy = policy.after(format!("stage-{before:02}").as_str());
            }
        }
        builder = builder.stage(format!("stage-{n:02}").as_str(), policy);
    }
    builder.build().unwrap()
}

fn long() -> Pipeline {
    let name = |letter: &str| format!("{}/{}", letter.repeat(90), "x".repeat(90));
    let gates = ["a-gate-with-a-long-name", "another-gate-with-a-long-name", "a-third-one"];
    let policy = gates.into_iter().fold(plain().after(name("a").as_str()), Policy::gate);
    Pipeline::builder().stage(name("a").as_str(), plain()).stage(name("b").as_str(), policy).build().unwrap()
}

#[test]
fn pipelines_are_drawn_as_the_golden_files_show() {
    for (name, pipeline) in
        [("chain", chain()), ("diamond", diamond()), ("thirty", thirty()), ("long", long())]
    {
        golden(&format!("{name}.svg"), &pipeline.diagram().svg());
        golden(&format!("{name}.mmd"), &pipeline.diagram().mermaid());
    }
}

#[tokio::test]
async fn a_live_diagram_shows_what_runs_what_waits_and_what_needs_a_person() {
    let scene = Scene::new(plain());
    scene.promoted("dev", "1.0.0").await;
    scene.promoted("prod", "1.0.0").await;
    scene.prod.trick([Trick::ObserveUnknown]);
    let paused = scene.promoted("prod", "2.0.0").await;
    scene.engine.request("dev", &release("2.0.0"), "alice").await.unwrap();
    scene.engine.hold("prod", "bob", "look at it first").await.unwrap();
    let diagram = scene.engine.diagram().await.unwrap();
    let live: Vec<_> = diagram
        .stages
        .iter()
        .map(|stage| stage.live.clone().unwrap())
        .map(|live| (live.tone, live.lines))
        .collect();
    let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(live[0], (Tone::Busy, lines(&["runs app@1.0.0", "1 waiting"])));
    let in_flight = format!("{paused} paused");
    assert_eq!(live[1], (Tone::Alarm, lines(&["runs app@1.0.0", &in_flight, "held by bob"])));
    golden("live.svg", &diagram.svg());
    golden("live.mmd", &diagram.mermaid());
    let json = serde_json::to_string(&diagram).unwrap();
    assert_eq!(serde_json::from_str::<Diagram>(&json).unwrap(), diagram);
}

/// What stands in a picture can come from outside; it stays text.
#[test]
fn hostile_text_stays_text_in_mermaid_and_in_svg() {
    let hostile = "</text><script>alert(1)</script>\"]; click s0 href \"javascript:x\" %%{init}%% #quot; `x` \u{202e}\u{1b}[31m\n--> & 'x'";
    let mut diagram = chain().diagram();
    diagram.stages[0].rules = vec![hostile.to_owned(), hostile.repeat(100)];
    let svg = diagram.svg();
    assert!(!svg.contains("<script") && !svg.contains('\u{202e}') && !svg.contains('\u{1b}'), "{svg}");
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    assert!(svg.contains("&lt;/text&gt;&lt;script&gt;"));
    let mermaid = diagram.mermaid();
    assert_eq!(mermaid.lines().count(), chain().diagram().mermaid().lines().count(), "no line more");
    let label =
        mermaid.lines().nth(1).unwrap().strip_prefix("    s0[\"").unwrap().strip_suffix("\"]").unwrap();
    assert!(!label.contains(['"', '`', '%', '{', ']', '\u{1b}']), "{label}");
    assert_eq!(label.matches('<').count(), 3 - 1, "line breaks only: {label}");
}

#[test]
fn a_drawing_of_thousands_of_stages_ends_soon_and_is_no_larger_than_they_are() {
    let mut builder = Pipeline::builder();
    for n in 0..3000_usize {
        let mut policy = plain();
        for before in [n.checked_sub(1), n.checked_sub(2), n.checked_sub(100), (n > 0).then_some(0)]
            .into_iter()
            .flatten()
        {
            policy = policy.after(format!("s{before}").as_str());
        }
        builder = builder.stage(format!("s{n}").as_str(), policy);
    }
    let svg = builder.build().unwrap().diagram().svg();
    assert!(svg.len() < 3000 * 1200, "{} bytes", svg.len());
}

#[tokio::test]
async fn a_timeline_is_aligned_and_folds_windows_that_say_the_same() {
    let scene = Scene::new(Policy::healthy_for(MINUTE).approvals(1));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.settle().await;
    let history: History = scene.engine.history(&id).await.unwrap();
    golden("timeline.txt", &history.timeline().to_string());
    golden("timeline.json", &format!("{}\n", serde_json::to_string_pretty(&history.timeline()).unwrap()));
    golden("stage_timeline.txt", &scene.engine.timeline("prod").await.unwrap().timeline().to_string());
}

#[tokio::test]
async fn a_reason_with_line_breaks_and_escapes_cannot_forge_a_line_of_a_timeline() {
    let scene = Scene::new(plain());
    let forged = "fine\n2026-11-23T12:00:00Z           prod   hold lifted by root\u{1b}[2K\u{202e}";
    scene.engine.hold("prod", "bob", forged).await.unwrap();
    let timeline = scene.engine.timeline("prod").await.unwrap().timeline();
    assert_eq!(timeline.to_string().lines().count(), 1);
    assert!(timeline.rows[0].text.ends_with("root\u{fffd}[2K\u{fffd}"), "{:?}", timeline.rows[0].text);
    assert_eq!(
        (timeline.rows[0].kind.as_str(), timeline.rows[0].by.as_ref().unwrap().as_str()),
        ("held", "bob")
    );
}
