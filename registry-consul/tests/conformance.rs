//! The contract's trials on a real Consul: on one that permits everything, and on one where nobody may do anything but by a
//! token that permits just enough.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use registry_consul::{Address, CATALOG, Config, KV, connect, connect_kv};
use registry_core::conformance::{Bench, Subject, trials};
use registry_core::{Registry, async_trait};
use test_servers::{Consul, ConsulOptions};

const MASTER: &str = "11111111-2222-3333-4444-555555555555";
/// What `docs/consul.md` says is needed, for the places of the trials.
const RULES_OF_KEYS: &str = r#"key_prefix "conformance/" { policy = "write" } session_prefix "" { policy = "write" }"#;
const RULES_OF_SERVICES: &str =
    r#"service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }"#;

/// One server, and what may be done there.
struct Place {
    server: Consul,
    keys: Option<String>,
    services: Option<String>,
}

impl Place {
    async fn open() -> Self {
        let server = Consul::start(ConsulOptions::default()).await.expect("a server");
        Self { server, keys: None, services: None }
    }

    async fn guarded() -> Self {
        let server = Consul::start(ConsulOptions::default().access_control(MASTER)).await.expect("a server");
        let keys = Some(token(&server, "keys", RULES_OF_KEYS).await);
        let services = Some(token(&server, "services", RULES_OF_SERVICES).await);
        Self { server, keys, services }
    }

    fn config(address: Address, token: Option<&String>) -> Config {
        let config = Config::from(address);
        match token {
            Some(token) => config.token(token.as_str()),
            None => config,
        }
    }
}

/// A token that may do what these rules say.
async fn token(server: &Consul, name: &str, rules: &str) -> String {
    let rules = rules.replace('"', "\\\"");
    let policy = format!(r#"{{"Name":"{name}","Rules":"{rules}"}}"#);
    let (status, said) = server.ask("PUT", "/v1/acl/policy", &policy).await.expect("an answer");
    assert_eq!(status, 200, "{said}");
    let policies = format!(r#"{{"Policies":[{{"Name":"{name}"}}]}}"#);
    let (_, made) = server.ask("PUT", "/v1/acl/token", &policies).await.expect("an answer");
    let secret = made.split("\"SecretID\":").nth(1).and_then(|rest| rest.split('"').nth(1));
    secret.unwrap_or_else(|| panic!("no token: {made}")).to_owned()
}

struct Keys(Arc<Place>);

#[async_trait]
impl Subject for Keys {
    async fn connect(&self) -> Arc<dyn Registry> {
        let address = Address::new(&KV, [self.0.server.endpoint()]);
        Arc::new(connect_kv(Place::config(address, self.0.keys.as_ref())).expect("a configuration"))
    }
}

struct Services(Arc<Place>);

#[async_trait]
impl Subject for Services {
    async fn connect(&self) -> Arc<dyn Registry> {
        let address = Address::new(&CATALOG, [self.0.server.endpoint()]);
        Arc::new(connect(Place::config(address, self.0.services.as_ref())).expect("a configuration"))
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait for sessions to end, which takes 20 s each.
    arguments.test_threads.get_or_insert(40);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (open, guarded) = runtime.block_on(async { tokio::join!(Place::open(), Place::guarded()) });
    eprintln!("{}", open.server.describe());
    let mut tests = Vec::new();
    for (which, place) in [("", open), ("guarded::", guarded)] {
        let place = Arc::new(place);
        let (keys, services) = (Arc::clone(&place), place);
        let faces: [(_, Arc<dyn Subject>); 2] =
            [("consul_kv", Arc::new(Keys(keys))), ("consul", Arc::new(Services(services)))];
        for (face, subject) in faces {
            let able = runtime.block_on(subject.connect()).capabilities();
            for trial in trials().into_iter().filter(|trial| trial.applies_to(&able)) {
                let (handle, subject) = (runtime.handle().clone(), Arc::clone(&subject));
                tests.push(Trial::test(format!("{which}{face}::{}", trial.name), move || {
                    handle.block_on(async { trial.run(Bench::new(&subject, trial.name).await).await });
                    Ok(())
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}
