//! What a handle changes in the environment that commands inherit.

mod common;

use common::{LONG, processes, shell};
use processes::{Command, Output, Processes};

async fn shown(processes: &Processes, command: Command) -> String {
    let command = command.stdout(Output::Capture { limit: 4096 });
    processes.run_to_end(command, LONG).await.expect("it starts").stdout.text().into_owned()
}

#[tokio::test]
async fn a_handle_changes_what_its_commands_inherit() {
    assert!(std::env::var_os("HOME").is_some() && std::env::var_os("PATH").is_some());
    let script = "echo ${HOME-none} ${MARK-none} ${PATH:+path}";
    let all = processes();
    let some = all.with_environment([("HOME", None), ("MARK", Some("set"))]);
    assert_eq!(shown(&some, shell(script)).await, "none set path\n");
    assert_eq!(shown(&some, shell(script).env("HOME", "/own")).await, "/own set path\n", "the command's own word wins");
    assert_eq!(shown(&some, shell(script).remove_env("MARK")).await, "none none path\n");
    assert!(shown(&some, shell("/usr/bin/env").clear_env()).await.lines().all(|line| !line.starts_with("MARK")));
    assert!(shown(&all, shell(script)).await.ends_with(" none path\n"), "other handles are as they were");
    let again = some.with_environment([("OTHER", Some("x"))]);
    assert!(shown(&again, shell(script)).await.ends_with(" none path\n"), "an earlier change is forgotten");
}
