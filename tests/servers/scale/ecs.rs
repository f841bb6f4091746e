//! Workers as tasks of an ECS service, in the emulator.

use super::stack;
use crate::support::fleet::{Fleet, clients};
use crate::support::run;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_grows_with_its_queue_and_rests_when_nothing_is_left() {
    let fleet = Fleet::new(&stack()).await;
    let config = clients(stack().url("aws")).await.config;
    let config = aws_sdk_ecs::config::Builder::from(&config).endpoint_url(stack().url("aws")).build();
    let ecs = aws_sdk_ecs::Client::from_conf(config);
    ecs.create_cluster().cluster_name("muster").send().await.unwrap();
    let container = aws_sdk_ecs::types::ContainerDefinition::builder().name("muster").image("muster").build();
    ecs.register_task_definition().family("worker").container_definitions(container).send().await.unwrap();
    for service in ["detection", "grouping"] {
        let made = ecs.create_service().cluster("muster").service_name(service).task_definition("worker");
        made.desired_count(0).send().await.unwrap();
    }
    let desired = async || {
        let answer = ecs.describe_services().cluster("muster").services("detection").send().await.unwrap();
        answer.services()[0].desired_count()
    };
    let scale = || {
        let mut command = fleet.muster();
        command.args(["scale", "--fleet", "ecs", "--once"]).env("MUSTER_SCALE__RATE", "0.01");
        command.env("MUSTER_SCALE__REST_SECONDS", "1");
        for (key, value) in [("CLUSTER", "muster"), ("DETECTION", "detection"), ("GROUPING", "grouping")] {
            command.env(format!("MUSTER_ECS__{key}"), value);
        }
        command
    };
    run(&mut scale(), 0);
    assert_eq!(desired().await, 0);
    fleet.send((0..20).map(|n| fleet.event(&format!("g/{n}.jpg")))).await;
    for _ in 0..2 {
        // 20 at 0.01 a second in 720 s; the second look finds enough.
        let output = run(&mut scale(), 0);
        assert_eq!(desired().await, 3, "{}", String::from_utf8_lossy(&output.stdout));
    }
    fleet.sqs.purge_queue().queue_url(&fleet.images).send().await.unwrap();
    run(&mut scale(), 0);
    assert_eq!(desired().await, 3, "nothing waits and nothing is held, but not for long");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    run(&mut scale(), 0);
    assert_eq!(desired().await, 0);
    let output = run(scale().env("MUSTER_ECS__DETECTION", "none"), 78);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("there is no service none"), "{told}");
}
