import os
import signal
import subprocess
import sys

import pytest

from nmt.signals import GracefulStop


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
)
def test_the_first_signal_only_requests_a_stop(number, code, capfd):
    previous = signal.getsignal(number)
    with GracefulStop() as stop:
        assert stop.requested is None
        os.kill(os.getpid(), number)
        assert stop.requested == number
    assert stop.exit_code == code
    assert signal.getsignal(number) is previous
    assert f"{number.name}: saving before exit" in capfd.readouterr().err


def test_the_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal, time\nfrom nmt.signals import SAME, GracefulStop\n"
        "with GracefulStop():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
        "    time.sleep(2 * SAME)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('not here')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 130
    assert done.stdout == "still here\n"


@pytest.mark.parametrize(
    ("kinds", "code"), [("SIGTERM SIGTERM", 143), ("SIGTERM SIGHUP", 129), ("SIGHUP SIGTERM", 129)]
)
def test_signals_at_the_same_moment_are_one_request(kinds, code):
    """`timeout` and the end of a session send them so; Python handles the lower number first."""
    script = (
        "import os, signal, sys\nfrom nmt.signals import GracefulStop\n"
        "with GracefulStop() as stop:\n"
        f"    os.system('kill -s {kinds.split()[0][3:]} %d; kill -s {kinds.split()[1][3:]} %d'"
        " % (os.getpid(), os.getpid()))\n"
        "print('saved')\n"
        "sys.exit(stop.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "saved\n"
    assert done.returncode in (code, 143, 129)
    assert done.stderr.count("saving before exit") == 1


def test_several_hangups_are_one_request():
    code = (
        "import os, signal, sys\nfrom nmt.signals import GracefulStop\n"
        "with GracefulStop() as stop:\n"
        "    for _ in range(3):\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "sys.exit(stop.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 129
    assert done.stderr.count("SIGHUP: saving before exit") == 1


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with GracefulStop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_handlers_are_restored_after_an_error():
    previous = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="soon"), GracefulStop():
        int("soon")
    assert signal.getsignal(signal.SIGTERM) is previous
