//! Programs that print what is asked for beside what is reached: a table, each row from a process of its own.

use std::process::{Command, ExitCode};

/// One measured figure.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What it should reach.
    pub target: &'static str,
    /// What it reached.
    pub reached: String,
    /// What the bare peers of the same run reached, and the ratios to them; empty where there is none.
    pub peer: String,
    /// Whether the target was met; `None` where there is none.
    pub met: Option<bool>,
}

/// The name of a row, and what measures it.
pub type Row = (&'static str, fn() -> Vec<Figure>);

/// Prints figures as rows of a table; whether all targets were met.
#[must_use]
pub fn print(figures: &[Figure]) -> bool {
    for Figure { what, target, reached, peer, met } in figures {
        let met = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        println!("| {what} | {target} | {reached} | {peer} | {met} |");
    }
    figures.iter().all(|figure| figure.met != Some(false))
}

/// Prints how busy the machine is, and the head of the table.
pub fn print_head() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!("| what | target | reached | bare peers of the same run | |\n|---|---|---|---|---|");
}

/// This program once more, for one row.
///
/// # Panics
/// When it does not know its own path.
#[must_use]
pub fn of_row(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--row", name]);
    command
}

/// All that such a program does whose rows need nothing told: `--row NAME` measures one here, names print only those, and with
/// `--check` it fails where a target is missed.
///
/// # Panics
/// When there is no row of a name, or no process for one.
#[must_use]
pub fn run(rows: &[Row]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--row", name] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        let row = rows.iter().find(|row| row.0 == *name).expect("a row of this name");
        return if print(&row.1()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    let names: Vec<&String> = arguments.iter().filter(|argument| *argument != "--check").collect();
    print_head();
    let mut missed = false;
    for (name, _) in rows.iter().filter(|row| names.is_empty() || names.iter().any(|name| *name == row.0)) {
        missed |= !of_row(name).status().expect("a process for the row").success();
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
