//! What only a process of its own can show: being killed at any moment, and not being root.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use processes::{Command, Output, Processes, Status};
use registry_core::{Bytes, Entry, Index, Name, Snapshot};
use registry_handlers::{FileKind, FileSpec, Handlers, Memberships, NotifySpec, Pending, Pipeline, Setup};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

/// Which part this process plays, and in which directory; a test when it is not set.
const ROLE: &str = "HANDLERS_TEST_ROLE";
const DIRECTORY: &str = "HANDLERS_TEST_DIRECTORY";

type Any<T> = Result<T, Box<dyn Error>>;

fn main() -> Any<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap_or_default());
    match std::env::var(ROLE).as_deref() {
        Ok("crash") => runtime.block_on(crash(&directory)),
        Ok("churn") => runtime.block_on(churn(&directory)),
        Ok("linked") => runtime.block_on(linked(&directory)),
        Ok("nobody") => runtime.block_on(nobody(&directory)),
        Ok(role) => Err(format!("there is no role {role}").into()),
        Err(_) => {
            let trials = vec![
                trial("a_crash_between_writing_and_telling_is_made_up_for", killed_while_telling),
                trial("killed_at_any_moment_the_file_is_whole_and_told_of", killed_at_any_moment),
                trial("links_are_followed_by_whose_they_are", links_of_others),
                trial("without_the_right_to_replace_a_file_it_is_written_in_place", without_rights),
            ];
            libtest_mimic::run(&Arguments::from_args(), trials).exit()
        }
    }
}

fn trial(name: &str, test: fn(&Path) -> Any<()>) -> Trial {
    Trial::test(name, move || {
        let directory = tempfile::tempdir()?;
        test(directory.path()).map_err(|error| Failed::from(error.to_string()))
    })
}

fn list(memberships: &Memberships, name: &str) -> Any<()> {
    // About a page and a half, so that a torn write can be seen.
    let names = (0..60).map(|count| format!("{name}-{count:0>90}"));
    let entry = |name: String| Ok(Entry { name: Name::new(&name)?, value: Bytes::new(), index: Index::new(1, 1) });
    let entries = names.map(entry).collect::<Any<Vec<_>>>()?;
    memberships.replace("db", &Snapshot { entries, index: Index::new(1, 1) });
    Ok(())
}

/// One file, one command, and a memory on the disk.
fn start(directory: &Path, memberships: &Memberships, script: &str) -> Any<Pipeline> {
    let mut file = FileSpec::new(FileKind::Lines, ["db"], directory.join("files/db"));
    file.notify = vec!["told".to_owned()];
    file.window = Duration::from_millis(1);
    let told = NotifySpec::exec("told", ["sh", "-c", script]);
    let setup = Setup::new(Processes::start()?, Pending::in_directory(directory.join("state"))?);
    Ok(Handlers::new(&[file], &[told], setup)?.start(memberships))
}

async fn settled(pipeline: &Pipeline) -> Any<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !pipeline.status().is_settled() {
        if Instant::now() > deadline {
            return Err(format!("does not settle: {:?}", pipeline.status()).into());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The role of this binary, as another process.
fn role(name: &str, directory: &Path, through: &[&str]) -> Any<Command> {
    let mut command = through.iter().map(Into::into).collect::<Vec<std::ffi::OsString>>();
    command.push(std::env::current_exe()?.into());
    let first = command.remove(0);
    let output = Output::Capture { limit: 64 * 1024 };
    Ok(Command::new(first).args(command).env(ROLE, name).env(DIRECTORY, directory).stdout(output).stderr(output))
}

fn check(good: bool, what: impl FnOnce() -> String) -> Any<()> {
    if good { Ok(()) } else { Err(what().into()) }
}

fn block_on(test: impl Future<Output = Any<()>>) -> Any<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(test)
}

fn names(directory: &Path) -> Any<Vec<PathBuf>> {
    Ok(fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

/// The role: its own notification kills it, so the file is written and nobody has heard.
async fn crash(directory: &Path) -> Any<()> {
    let memberships = Memberships::new();
    list(&memberships, "new")?;
    let _pipeline = start(directory, &memberships, "kill -9 $PPID")?;
    sleep(Duration::from_secs(20)).await;
    Err("was not killed".into())
}

fn killed_while_telling(directory: &Path) -> Any<()> {
    fs::create_dir(directory.join("files"))?;
    block_on(async {
        let outcome = Processes::start()?.run_to_end(role("crash", directory, &[])?, Duration::from_secs(25)).await?;
        check(outcome.status == Status::Signaled(9), || format!("{outcome:?} {}", outcome.stderr.text()))?;
        check(fs::read_to_string(directory.join("files/db"))?.starts_with("new-"), || "not written".into())?;

        let memberships = Memberships::new();
        list(&memberships, "new")?;
        let script = format!("echo told >>{}", directory.join("told").display());
        for time in ["the first", "the second"] {
            let pipeline = start(directory, &memberships, &script)?;
            settled(&pipeline).await?;
            let status = pipeline.status();
            check(status.files[0].writes == 0, || format!("{time} start wrote: {status:?}"))?;
            pipeline.stop().await;
            let told = fs::read_to_string(directory.join("told")).unwrap_or_default();
            check(told == "told\n", || format!("after {time} start: {told:?}"))?;
        }
        check(names(&directory.join("state"))?.is_empty(), || "the state says that something is pending".into())
    })
}

/// The role: changes without end, each told by writing down what the reader saw.
async fn churn(directory: &Path) -> Any<()> {
    let memberships = Memberships::new();
    let _pipeline = start(directory, &memberships, &reader(directory))?;
    for count in 0_u64.. {
        list(&memberships, &format!("m{count}"))?;
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn reader(directory: &Path) -> String {
    format!("cp {0}/files/db {0}/seen.new && mv {0}/seen.new {0}/seen", directory.display())
}

fn killed_at_any_moment(directory: &Path) -> Any<()> {
    fs::create_dir(directory.join("files"))?;
    block_on(async {
        let processes = Processes::start()?;
        for round in 0..12_u64 {
            let running = processes.spawn(role("churn", directory, &[])?)?;
            // From before the first write to the middle of many.
            sleep(Duration::from_millis(15 + round * 13)).await;
            running.signal(processes::Signal::KILL)?;
            running.wait().await;
            // A reader that it had started lives on, and would write down what it has seen after the next one has.
            check(processes.sweep(Duration::from_secs(5)).await? == 0, || "a reader cannot be ended".into())?;
            let file = fs::read_to_string(directory.join("files/db")).unwrap_or_default();
            let first = file.split('-').next().unwrap_or_default();
            let whole = file.lines().count() == 60 && file.lines().all(|line| line.starts_with(&format!("{first}-")));
            check(whole || file.is_empty(), || format!("round {round}: the file is torn: {file}"))?;
            // The same members again: what was not told before is told now.
            let memberships = Memberships::new();
            list(&memberships, if file.is_empty() { "fresh" } else { first })?;
            let pipeline = start(directory, &memberships, &reader(directory))?;
            settled(&pipeline).await?;
            pipeline.stop().await;
            let (file, seen) = (fs::read(directory.join("files/db"))?, fs::read(directory.join("seen"))?);
            check(file == seen, || {
                let line = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
                format!("round {round}: the reader has seen {:?} of {:?}", line(&seen), line(&file))
            })?;
            let left = names(&directory.join("files"))?;
            check(left.len() == 1, || format!("round {round}: {left:?} are left"))?;
        }
        Ok(())
    })
}

/// The role: writes without the rights of root, and says how it went.
async fn nobody(directory: &Path) -> Any<()> {
    let memberships = Memberships::new();
    list(&memberships, "new")?;
    let mut handlers = Vec::new();
    for name in ["closed/open-file", "closed/closed-file", "open/others-file"] {
        let mut file = FileSpec::new(FileKind::Lines, ["db"], directory.join(name));
        file.check = Some(vec!["grep".into(), "-q".into(), "new-".into(), "{src}".into()]);
        handlers.push(file);
    }
    let setup = Setup::new(Processes::start()?, Pending::in_memory());
    let mut handlers = Handlers::new(&handlers, &[], setup)?;
    let prepared = handlers.prepare(&memberships).await;
    println!("{:?}", prepared.iter().map(|prepared| prepared.result.is_ok()).collect::<Vec<_>>());
    let pipeline = handlers.start(&memberships);
    println!(
        "{:?}",
        pipeline.status().files.iter().map(|file| file.written.map(|written| written.atomic)).collect::<Vec<_>>()
    );
    println!("{}", prepared[1].result.as_ref().err().ok_or("a closed file was written")?);
    Ok(())
}

fn without_rights(directory: &Path) -> Any<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    for (name, mode) in [("closed", 0o755), ("open", 0o777)] {
        fs::create_dir(directory.join(name))?;
        fs::set_permissions(directory.join(name), Permissions::from_mode(mode))?;
    }
    for (name, mode) in [("closed/open-file", 0o666), ("closed/closed-file", 0o644), ("open/others-file", 0o666)] {
        fs::write(directory.join(name), "old")?;
        fs::set_permissions(directory.join(name), Permissions::from_mode(mode))?;
    }
    block_on(async {
        let through = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let command = role("nobody", directory, &through)?;
        let outcome = Processes::start()?.run_to_end(command, Duration::from_secs(25)).await?;
        check(outcome.success(), || format!("(this test needs root) {outcome:?} {}", outcome.stderr.text()))?;
        let said = outcome.stdout.text().into_owned();
        check(said.starts_with("[true, false, true]\n[Some(false), None, Some(false)]\n"), || said.clone())?;
        check(said.contains("closed-file: cannot write in place: Permission denied"), || said.clone())?;
        check(fs::read_to_string(directory.join("closed/closed-file"))? == "old", || "touched".into())?;
        // A rename would have given it to nobody, and its readers might have lost it.
        let others = fs::metadata(directory.join("open/others-file"))?;
        check((others.uid(), others.mode() & 0o777) == (0, 0o666), || format!("{others:?}"))?;
        check(names(&directory.join("open"))?.len() == 1, || "a temporary file is left".into())
    })
}

/// The role: writes through links in a directory where everybody may put them, and says how it went.
async fn linked(directory: &Path) -> Any<()> {
    let memberships = Memberships::new();
    list(&memberships, "new")?;
    let file = |name: &&str| FileSpec::new(FileKind::Lines, ["db"], directory.join("shared").join(name));
    let files: Vec<_> = ["own", "roots", "others"].iter().map(file).collect();
    let setup = Setup::new(Processes::start()?, Pending::in_memory());
    let prepared = Handlers::new(&files, &[], setup)?.prepare(&memberships).await;
    println!("{:?}", prepared.iter().map(|prepared| prepared.result.is_ok()).collect::<Vec<_>>());
    println!("{}", prepared[2].result.as_ref().err().ok_or("the link of another user was followed")?);
    Ok(())
}

fn links_of_others(directory: &Path) -> Any<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    for (name, mode) in [("shared", 0o1777), ("targets", 0o777)] {
        fs::create_dir(directory.join(name))?;
        fs::set_permissions(directory.join(name), Permissions::from_mode(mode))?;
    }
    for (name, owner) in [("own", 65534), ("roots", 0), ("others", 4321)] {
        let link = directory.join("shared").join(name);
        std::os::unix::fs::symlink(directory.join("targets").join(name), &link)?;
        std::os::unix::fs::lchown(&link, Some(owner), None)?;
    }
    block_on(async {
        let through = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let command = role("linked", directory, &through)?;
        let outcome = Processes::start()?.run_to_end(command, Duration::from_secs(25)).await?;
        check(outcome.success(), || format!("(this test needs root) {outcome:?} {}", outcome.stderr.text()))?;
        let said = outcome.stdout.text().into_owned();
        check(said.starts_with("[true, true, false]\n"), || said.clone())?;
        check(said.contains("symbolic link of user 4321"), || said.clone())?;
        let mut targets = names(&directory.join("targets"))?;
        targets.sort();
        check(targets == ["own", "roots"].map(|name| directory.join("targets").join(name)), || format!("{targets:?}"))
    })
}
