//! A keeper whose runtime is shut down: what the registration says afterwards.

use registry_core::{ErrorKind, RegistryExt, State};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Fake, Fault, Op, key, millis, options, pass, seconds};

/// In real time, so that it runs beside another runtime.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime")
}

#[test]
fn an_attempt_that_its_runtime_took_along_may_have_registered() {
    let fake = Fake::new();
    let (first, second) = (runtime(), runtime());
    let registration = first.block_on(async {
        fake.next(Op::Register, Fault::Hang);
        let registration = fake.begin(key("a"), "1", options()).expect("valid arguments");
        while fake.count(Op::Register) == 0 {
            pass(millis(1)).await;
        }
        registration
    });
    first.shutdown_background();
    let released = second.block_on(async {
        let mut status = registration.watch();
        while status.changed().await.is_ok() {}
        registration.deregister().await
    });
    assert_eq!(released.expect_err("nobody knows").kind(), ErrorKind::Aborted);
    second.shutdown_background();
}

#[test]
fn a_loss_and_an_attempt_that_its_runtime_took_along() {
    let fake = Fake::new();
    let (first, second) = (runtime(), runtime());
    let registration = first.block_on(async {
        let registration = fake.announce(key("a"), "1", options()).await.expect("announced");
        fake.every(Op::Register, Fault::Hang);
        fake.forget("a");
        while fake.count(Op::Register) < 2 {
            pass(millis(1)).await;
        }
        registration
    });
    first.shutdown_background();
    let released = second.block_on(async {
        let mut status = registration.watch();
        while status.changed().await.is_ok() {}
        assert_eq!((registration.status().state, registration.token()), (State::Lost, None));
        registration.deregister().await
    });
    // To deregister with the lease that was lost would answer for another entry.
    assert_eq!(released.expect_err("nobody knows").kind(), ErrorKind::Aborted);
    second.shutdown_background();
}

#[test]
fn a_request_to_deregister_that_its_runtime_took_along_is_made_again() {
    let fake = Fake::new();
    let (first, second) = (runtime(), runtime());
    let registration = first.block_on(fake.announce(key("a"), "1", options())).expect("announced");
    fake.next(Op::Deregister, Fault::Hang);
    let released = second.block_on(async {
        let releasing = second.spawn(registration.deregister());
        while fake.count(Op::Deregister) == 0 {
            pass(millis(1)).await;
        }
        first.shutdown_background();
        tokio::time::timeout(seconds(10), releasing).await.expect("it ends").expect("no panic")
    });
    released.expect("deregistered");
    assert_eq!((fake.count(Op::Deregister), fake.value("a")), (2, None));
    second.shutdown_background();
}
