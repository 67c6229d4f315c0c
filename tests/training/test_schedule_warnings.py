import pytest
from tiny import tiny

from nmt.training.assembly import schedule_warnings
from nmt.training.state import TrainingState


def warnings(folder, *settings, update=0, last=80):
    training = tiny(folder, *(f"training.{setting}" for setting in settings)).training
    return list(schedule_warnings(training, TrainingState(update=update), last=last))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "schedule={kind = 'cosine', updates = 40}",
            "training.schedule ends at update 40, but training at 80: updates 41 to 80 have the "
            "learning rate 0 and change nothing; to move its end: --set "
            "training.schedule.updates=80",
        ),
        (
            "schedule={kind = 'cosine', updates = 40, end = 0.5}",
            "training.schedule ends at update 40, but training at 80: updates 41 to 80 have the "
            "learning rate 0.005; to move its end: --set training.schedule.updates=80",
        ),
        (
            "schedule={kind = 'exponential', start = 10, every = 2, factor = 0.5}",
            "training.schedule lowers the learning rate to less than a thousandth of 0.01 at "
            "update 28 already, but training ends at 80; raise training.schedule.every or "
            "training.schedule.factor",
        ),
        (
            "schedule={kind = 'inverse_sqrt', warmup = 1000}",
            "training.schedule.warmup = 1,000, but training ends at update 80, at the rate 0.0008; "
            "shorten the warm-up",
        ),
        (
            "schedule={kind = 'cosine', updates = 4000}",
            "training.schedule hardly lowers the learning rate: it is still 0.00999 of 0.01 at the "
            "last update, 80; let it fall earlier",
        ),
        (
            "schedule={kind = 'exponential', start = 81}",
            "training.schedule hardly lowers the learning rate: it is still 0.01 of 0.01 at the "
            "last update, 80; let it fall earlier",
        ),
        (
            "scheduled_sampling=inverse_sigmoid",
            "training.scheduled_sampling hardly changes anything: at the last update, 80, the "
            "decoder still reads the reference with probability 0.999; lower "
            "training.scheduled_sampling.k (one half is reached at k ln k)",
        ),
        (
            "scheduled_sampling={kind = 'linear', c = 1e-5}",
            "training.scheduled_sampling hardly changes anything: at the last update, 80, the "
            "decoder still reads the reference with probability 0.999; raise "
            "training.scheduled_sampling.c",
        ),
    ],
)
def test_a_schedule_that_ends_early_or_hardly_moves_is_pointed_out(tmp_path, setting, said):
    assert warnings(tmp_path, setting) == [said]


@pytest.mark.parametrize(
    "setting",
    [
        "schedule=constant",
        "schedule=plateau",
        "schedule=cosine",
        "schedule={kind = 'cosine', updates = 80}",
        "schedule={kind = 'cosine', updates = 90, warmup = 20}",
        "schedule={kind = 'inverse_sqrt', warmup = 20}",
        "schedule={kind = 'exponential', start = 40, every = 20}",
        "scheduled_sampling={kind = 'constant', probability = 1.0}",
        "scheduled_sampling={kind = 'inverse_sigmoid', k = 20}",
        "scheduled_sampling={kind = 'linear', c = 0.01}",
        "max_epochs=3",
    ],
)
def test_a_schedule_that_fits_the_training_is_not(tmp_path, setting):
    assert warnings(tmp_path, setting, "max_updates=80") == []


def test_nothing_is_said_of_a_run_that_is_over(tmp_path):
    setting = "schedule={kind = 'cosine', updates = 40}"
    assert warnings(tmp_path, setting, update=80) == []
    assert warnings(tmp_path, setting, update=60)[0].count("updates 61 to 80")
