//! A program that may open only a few files works, or says why it does not and ends. There is nothing in between.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually};

use crate::program::{CHILD, CLUSTER, KEY, configure, holds};

/// The fewest is too few for anything, the most is enough.
const LIMITS: [u32; 8] = [6, 9, 14, 18, 24, 32, 63, 64];

pub(crate) fn too_few_files_are_an_error_or_enough(context: &Context) {
    context.witness.put(&format!("{CLUSTER}/m"), "v");
    let (mut ended, mut worked) = (0, 0);
    for limit in LIMITS {
        for file in ["db.json", "child.pids", "child.signals"] {
            let _ = std::fs::remove_file(context.path(file));
        }
        context.witness.remove(&format!("{CLUSTER}/n"));
        configure(context, &context.url(), 3);
        let script = format!(
            "ulimit -n {limit}; exec \"$CLUSTERCONTROL\" run --start-timeout 5s -- bash -c '{}'",
            CHILD.replace('\'', "'\\''")
        );
        let mut run = context.script(&script).start();
        let works = |context: &Context| context.witness.get(KEY).is_some() && context.read("db.json").is_some();
        let mut is_over = false;
        eventually(Duration::from_secs(30), &format!("with {limit} files it works or ends"), || {
            is_over = !run.is_running();
            is_over || works(context)
        });
        if is_over {
            let code = run.wait(SOON);
            assert!(code != 0 && code != 9, "with {limit} files: {code}");
            let said = run.stderr();
            assert!(said.contains("files") && !said.contains("panicked"), "with {limit} files: {said}");
            ended += 1;
            continue;
        }
        // It works indeed: it follows changes, and stops as it is asked to.
        context.witness.put(&format!("{CLUSTER}/n"), "v");
        holds(context, &["m", "n"]);
        run.signal(Signal::TERM);
        assert_eq!(run.wait(SOON), 9, "with {limit} files: {}", run.stderr());
        assert_eq!(context.witness.get(KEY), None, "with {limit} files");
        worked += 1;
    }
    assert!(ended > 0 && worked > 0, "with all of these limits it was the same: {ended} ended, {worked} worked");
}
