//! What every backend that speaks to servers must do while certificates, passwords and permissions change under it, and what
//! it must never tell. On real servers; each test runs on etcd v2, etcd v3 and Consul.

mod certificates;
mod client;
mod guarded;
mod passwords;
mod permissions;
mod secured;
mod silence;
mod transitions;

/// One test for each backend.
macro_rules! on_each_backend {
    ($($name:ident in $module:ident),+ $(,)?) => {
        $(mod $name {
            use crate::client::Backend;

            #[tokio::test]
            async fn etcd_v2() {
                crate::$module::$name(Backend::EtcdV2).await;
            }

            #[tokio::test]
            async fn etcd_v3() {
                crate::$module::$name(Backend::EtcdV3).await;
            }

            #[tokio::test]
            async fn consul() {
                crate::$module::$name(Backend::Consul).await;
            }
        })+
    };
}

on_each_backend! {
    certificates_are_rotated in certificates,
    an_expired_server_is_waited_for in certificates,
    a_server_without_the_name_is_waited_for in certificates,
    secrets_are_rotated in passwords,
    a_permission_that_was_lost_comes_back in permissions,
    secrets_are_told_to_the_server_only in silence,
    an_exposed_secret_is_warned_of_once in silence,
}

/// Authentication and permissions change under every operation.
mod every_operation_heals {
    use test_servers::Version;

    use crate::client::Backend;
    use crate::transitions::every_operation_heals;

    #[tokio::test]
    async fn etcd_v2_of_3_4() {
        every_operation_heals(Backend::EtcdV2, Version::V3_4).await;
    }

    #[tokio::test]
    async fn etcd_v2_of_3_5() {
        every_operation_heals(Backend::EtcdV2, Version::V3_5).await;
    }

    #[tokio::test]
    async fn etcd_v3_of_3_4() {
        every_operation_heals(Backend::EtcdV3, Version::V3_4).await;
    }

    #[tokio::test]
    async fn etcd_v3_of_3_5() {
        every_operation_heals(Backend::EtcdV3, Version::V3_5).await;
    }

    #[tokio::test]
    async fn consul() {
        every_operation_heals(Backend::Consul, Version::V3_4).await;
    }
}

mod who_waits_for_a_lock_outlasts_a_refusal {
    use test_servers::Version;

    use crate::client::Backend;
    use crate::transitions::who_waits_for_a_lock_outlasts_a_refusal;

    #[tokio::test]
    async fn etcd_v2() {
        who_waits_for_a_lock_outlasts_a_refusal(Backend::EtcdV2, Version::V3_4).await;
    }

    #[tokio::test]
    async fn etcd_v3_of_3_4() {
        who_waits_for_a_lock_outlasts_a_refusal(Backend::EtcdV3, Version::V3_4).await;
    }

    #[tokio::test]
    async fn etcd_v3_of_3_5() {
        who_waits_for_a_lock_outlasts_a_refusal(Backend::EtcdV3, Version::V3_5).await;
    }

    #[tokio::test]
    async fn consul() {
        who_waits_for_a_lock_outlasts_a_refusal(Backend::Consul, Version::V3_4).await;
    }
}
