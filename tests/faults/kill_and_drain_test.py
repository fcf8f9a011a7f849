"""Kills at random moments, steps that hang, and the drain at SIGTERM."""
import os
import random
import sys
import tempfile
import time

import host_state
from harness import tap
from harness.agent import Failed, wait_for
from tiny_guest import DEAF
from world import World, equal

SEED = int(os.environ.get("FAULTS_SEED", "20230817"))
SERVERS = 10
KILLS = 20


def kill_at_random(world, chance, kills):
    """Kills and starts the agent `kills` times; how many of the kills met an open operation."""
    met = 0
    for _ in range(kills):
        time.sleep(chance.uniform(0.0, 0.4))
        world.agent.kill()
        met += bool(host_state.Store().open_operations())
        world.agent.start(wait=False)
    world.agent.wait_ready()
    return met


def KillsAtRandomMomentsOfTenBuildsAndTheirDeletesLoseNothing(world):
    chance = random.Random(SEED)
    print(f"# seed {SEED}", flush=True)
    world.agent.start()
    uuids = [world.order_build() for _ in range(SERVERS)]
    met = kill_at_random(world, chance, KILLS)
    for uuid in uuids:
        world.agent.wait_status(uuid, "ACTIVE", 120)
    print(f"# {met} of {KILLS} kills met an open operation", flush=True)
    if not met:
        raise Failed("no kill met an open operation: the builds were over before")
    expected = {uuid: "ACTIVE" for uuid in uuids}
    world.check_at_rest(expected)
    for uuid, (name, _) in host_state.domains().items():
        equal(host_state.starts(name), 1, f"QEMU processes started for {uuid}")
        equal([a["action"] for a in world.agent.actions(uuid)], ["create"], f"actions of {uuid}")
    for uuid in uuids:
        equal(world.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}")[0], 204, "status of DELETE")
    met = kill_at_random(world, chance, KILLS // 2)
    for uuid in uuids:
        world.agent.wait_status(uuid, "DELETED", 120)
    print(f"# {met} of {KILLS // 2} kills met an open operation", flush=True)
    world.check_at_rest({})
    stop(world)
    world.check_store({})


def BuildsThatDeletesAndKillsCutShortLeaveNothing(world):
    chance = random.Random(SEED)
    world.agent.start()
    world.images["large"] = world.large_image(chance)  # so that its fetch is cut short as well
    uuids = [world.order_build("large") for _ in range(SERVERS)]
    for n, uuid in enumerate(uuids):
        time.sleep(chance.uniform(0.0, 0.15))
        if n % 2:
            world.agent.kill()
            world.agent.start()
        equal(world.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}")[0], 204, "status of DELETE")
    for uuid in uuids:
        world.agent.wait_status(uuid, "DELETED", 120)
    world.check_at_rest({})
    stop(world)
    world.check_store({})


def FetchThatADeleteAndAKillCutShortLeavesNoHalfImage(world):
    world.agent.start()
    world.images["large"] = world.large_image(random.Random(SEED))
    uuid = world.order_build("large")
    wait_for("the fetch to begin", host_state.half_written, interval=0.001)
    equal(world.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}")[0], 204, "status of DELETE")
    world.agent.kill()
    if not host_state.half_written():
        raise Failed("the image was fetched before the agent was killed")
    world.agent.start()
    world.agent.wait_status(uuid, "DELETED")
    world.check_at_rest({})
    stop(world)
    world.check_store({})


def SigtermDuringBuildsEndsTheStepsAtHandAndTheNextStartGoesOn(world):
    world.agent.start()
    uuids = [world.order_build() for _ in range(4)]
    stop(world)
    store = host_state.Store()
    if not store.open_operations() and not store.spooled:
        raise Failed("the builds were over before the agent stopped: the drain waited for more than the steps at hand")
    for operation in store.open_operations():
        done = [e["event"] for e in store.events_of(operation["instance_uuid"], operation["request_id"])]
        equal(operation["next_step"], len(done), f"steps of {operation['instance_uuid']} that ended ({done})")
        number = store.instances()[operation["instance_uuid"]]["number"]
        started = "build_and_run_instance/start" in done
        equal(host_state.starts(f"instance-{number:08x}"), int(started), "QEMU processes of a build whose start was not recorded")
    equal(host_state.half_written(), [], "temporary files")
    world.agent.start()
    for uuid in uuids:
        world.agent.wait_status(uuid, "ACTIVE", 120)
    expected = {uuid: "ACTIVE" for uuid in uuids}
    world.check_at_rest(expected)
    for uuid in uuids:
        world.delete(uuid)
    world.check_at_rest({})
    stop(world)
    world.check_store({})


def DeleteEndsAStopThatWaitsForADeafGuest(world):
    world.configure(shutdown_timeout=600)
    world.agent.start()
    uuid = world.active(DEAF)
    world.agent.action(uuid, {"os-stop": None})
    wait_for("the stop to wait for its guest", lambda: status(world)["operations"]["open"] == 1 and status(world)["workers"]["busy"] == 1)
    world.delete(uuid)
    world.check_at_rest({})
    stop(world)
    world.check_store({})
    world.configure()


def NoMoreBuildsRunAtOnceThanAllowed(world):
    world.configure(max_concurrent_builds=2)
    world.agent.start(fault="build_and_run_instance/claim:before=hang")
    uuids = [world.order_build() for _ in range(5)]
    wait_for("all five orders to be taken over", lambda: status(world)["operations"]["open"] == 5)
    # Two hang at the fault, the others wait at no worker's expense; and who is deleted does not wait for its turn first.
    wait_for("two builds to run", lambda: status(world)["workers"]["busy"] == 2)
    world.delete(uuids.pop())
    equal(status(world)["workers"]["busy"], 2, "workers that build")
    world.agent.kill()
    world.configure()
    world.agent.start()
    for uuid in uuids:
        world.agent.wait_status(uuid, "ACTIVE", 120)
    for uuid in uuids:
        world.delete(uuid)
    world.check_at_rest({})
    stop(world)
    world.check_store({})


def AStepThatHangsIsGivenUpAndUndoneAndKeepsNoDrainWaiting(world):
    world.agent.start(fault="build_and_run_instance/claim:before=hang")
    uuid = world.order_build()
    server = world.agent.wait_status(uuid, "ERROR", 40)
    if "claim did not end within" not in server["fault"]["message"]:
        raise Failed(f"the fault does not tell what hangs: {server['fault']}")
    world.check_at_rest({uuid: "ERROR"})
    world.delete(uuid)
    began = time.monotonic()
    stop(world)
    if time.monotonic() - began > 20:
        raise Failed("the agent waited for the worker that hangs")
    world.check_store({})


def status(world):
    return world.agent.ok("GET", "/agent/v1/status")


def stop(world):
    equal(world.agent.stop(), 0, "exit status of the agent at SIGTERM")


def each_for_itself(world, case):
    def run():
        try:
            case(world)
        except BaseException:
            print("".join(f"# {line}\n" for line in world.agent.new_log().splitlines()[-60:]), end="")
            world.wipe()
            raise
    return case.__name__, run


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""  # by hand: only cases whose name has this text
    with tempfile.TemporaryDirectory() as scratch:
        world = World(scratch)
        stop(world)
        cases = (KillsAtRandomMomentsOfTenBuildsAndTheirDeletesLoseNothing, BuildsThatDeletesAndKillsCutShortLeaveNothing,
                 FetchThatADeleteAndAKillCutShortLeavesNoHalfImage, SigtermDuringBuildsEndsTheStepsAtHandAndTheNextStartGoesOn,
                 DeleteEndsAStopThatWaitsForADeafGuest, NoMoreBuildsRunAtOnceThanAllowed, AStepThatHangsIsGivenUpAndUndoneAndKeepsNoDrainWaiting)
        tap.run([each_for_itself(world, case) for case in cases if wanted in case.__name__])


main()
