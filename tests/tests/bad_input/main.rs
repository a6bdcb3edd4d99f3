//! What is wrong is refused: with a message that helps, an exit code that tells, and nothing touched.

mod case;
mod configuration;
mod endpoints;
mod hostile;
mod inherited;
mod many;
mod names;
mod secrets;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

const ALL: &[Backend] = &Backend::ALL;

fn main() -> ExitCode {
    Suite::new()
        .alone("configuration_malformed", configuration::malformed)
        .alone("configuration_unknown_keys", configuration::unknown_keys)
        .alone("configuration_times", configuration::times)
        .on(ALL, "configuration_impossible_ttl", configuration::impossible_ttl)
        .alone("configuration_unsupported", configuration::unsupported)
        .alone("configuration_contradictions", configuration::contradictions)
        .alone("a_template_that_writes_values_as_they_are", configuration::templates)
        .alone("configuration_not_utf8", configuration::not_utf8)
        .alone("configuration_directories", configuration::directories)
        .alone("endpoints_schemes", endpoints::schemes)
        .alone("endpoints_nobody_there", endpoints::nobody_there)
        .alone("endpoints_silence", endpoints::silence)
        .alone("endpoints_wrong_protocol", endpoints::wrong_protocol)
        .alone("endpoints_tls_or_not", endpoints::tls_or_not)
        .alone("endpoints_v2_switched_off", endpoints::v2_switched_off)
        .alone("endpoints_bad_credentials", endpoints::bad_credentials)
        .on(ALL, "names_of_members_and_clusters", names::of_members_and_clusters)
        .alone("names_in_the_configuration", names::in_the_configuration)
        .on(ALL, "names_of_values", names::of_values)
        .on(ALL, "names_of_a_directory", names::of_a_directory)
        .on(ALL, "hostile_values", hostile::values)
        .on(&Backend::ETCD, "hostile_names", hostile::names)
        .on(&Backend::WITH_CONSUL, "ten_thousand_members", many::ten_thousand_members)
        .alone("ten_thousand_members_in_a_variable", many::in_a_variable)
        .on(&Backend::WITH_CONSUL, "secrets_are_held", secrets::everything_holds_some)
        .alone("secrets_in_configurations", secrets::in_configurations)
        .on(&[Backend::Sqlite], "secrets_are_not_inherited", inherited::by_no_command)
        .on(&[Backend::Sqlite], "secrets_are_given_back", inherited::when_it_is_said)
        .on(&[Backend::Sqlite], "secrets_a_nested_program_misses", inherited::a_nested_program_misses_them)
        .on_own(&Backend::ETCD, "secrets_at_work", secrets::at_work)
        .run()
}
