import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nmt.errors import UsageError
from nmt.training import distributed
from nmt.training.distributed import (
    World,
    all_reduce_gradients,
    all_reduce_sum,
    await_main,
    broadcast_object,
    gather_objects,
    start_world,
)

SCRIPT = """
import json, os, signal, sys
from dataclasses import asdict
import torch
from torch import nn
from nmt.errors import NmtError
from nmt.training.distributed import (
    Agreement, agree, all_reduce_gradients, all_reduce_sum, await_main, broadcast_object,
    gather_objects, start_world,
)
from nmt.training.state import gather_random_states, restore_random_states

torch.set_num_threads(1)
with start_world("cpu", timeout=30) as world:
    weight, bias, unused = (nn.Parameter(torch.zeros(size)) for size in ((2, 3), 1, 4))
    weight.grad = torch.arange(6.0).view(2, 3) * (world.rank + 1)
    if world.is_main:
        bias.grad = torch.tensor([5.0])
    all_reduce_gradients([weight, bias, unused], world)
    all_reduce_sum([0.0], world)
    torch.manual_seed(world.rank)
    states = gather_random_states(world)
    first = torch.rand(3).tolist()
    restore_random_states(states, world)
    own = Agreement(
        nll=1.5,
        stop=not world.is_main,
        validate=world.is_main,
        save=not world.is_main,
        is_out_of_time=False,
    )
    result = {
        "rank": world.rank,
        "size": world.size,
        "gradients": [p.grad.flatten().tolist() for p in (weight, bias, unused)],
        "sum": all_reduce_sum([world.rank + 0.5, 1e16, 1.0], world),
        "agreed": asdict(agree(own, world)),
        "broadcast": broadcast_object({"from": world.rank, "text": "e" * 50 * world.rank}, world),
        "gathered": gather_objects(["x" * world.rank, None], world),
        "awaited": [await_main(world)] * 2,
        "repeats": torch.rand(3).tolist() == first,
        "states": len(set(state["cpu"] for state in states)),
    }
    with open(os.path.join(sys.argv[1], f"{world.rank}.json"), "w") as file:
        json.dump(result, file)
    if "die" in sys.argv:  # torchrun, which ends the others, may be quicker than gloo
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    all_reduce_sum([0.0], world)
    if "die" in sys.argv:
        if world.rank == 1:
            os._exit(9)
        try:
            all_reduce_sum([0.0], world)
        except NmtError as error:
            print(error, flush=True)
            os._exit(error.exit_code)
"""


def torchrun(folder, *arguments):
    script = folder / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    root = Path(distributed.__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    return subprocess.run(
        [*command, "--nproc-per-node", "2", str(script), str(folder), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_two_processes_sum_broadcast_and_gather(tmp_path):
    done = torchrun(tmp_path)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == {
            "rank": rank,
            "size": 2,
            "gradients": [[0.0, 3.0, 6.0, 9.0, 12.0, 15.0], [5.0], [0.0] * 4],
            "sum": [2.0, 2e16, 2.0],
            "agreed": {
                "nll": 3.0,
                "stop": True,
                "validate": True,
                "save": False,
                "is_out_of_time": False,
            },
            "broadcast": {"from": 0, "text": ""},
            "gathered": [["", None], ["x", None]],
            "awaited": [None, None],
            "repeats": True,
            "states": 2,
        }


def test_a_lost_rank_is_reported_and_ends_the_others(tmp_path):
    done = torchrun(tmp_path, "die")
    assert done.returncode != 0
    assert "rank 0 of 2 lost rank 1 (" in done.stdout
    assert "start the same command again to resume" in done.stdout


def test_collectives_of_a_single_process_change_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with start_world("cpu") as world:
        assert world == World(0, 1, torch.device("cpu"))
        assert world.is_main
        weight = nn.Parameter(torch.ones(2))
        all_reduce_gradients([weight], world)
        assert weight.grad is None
        assert all_reduce_sum([1.5, 2.0], world) == [1.5, 2.0]
        assert broadcast_object({"a": 1}, world) == {"a": 1}
        assert gather_objects("x", world) == ["x"]
        await_main(world)
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("gpus", "local_rank", "text"),
    [
        (0, "0", 'is "cuda", but torch finds no GPU; set it to "cpu"'),
        (
            2,
            "2",
            r"more processes than GPUs on this host \(local rank 2, 2 GPUs\); lower "
            r'--nproc-per-node, or set training\.device to "cpu"\.$',
        ),
    ],
)
def test_missing_gpus_are_a_usage_error(monkeypatch, gpus, local_rank, text):
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(UsageError, match=text), start_world("cuda"):
        pass
