import multiprocessing
import signal
import subprocess
import sys
import threading

import pytest
import torch

from modernbert.base.threads import side_by_side


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_pieces_run_at_once_in_order_with_a_share_of_the_threads():
    met = threading.Barrier(2, timeout=20)  # passed only by two at the same time

    def work(piece):
        met.wait()
        return piece, torch.get_num_threads(), threading.get_ident()

    (first, one, here), (second, other, there) = side_by_side(work, ["a", "b"])
    assert (first, second) == ("a", "b")
    assert one == other == 1
    assert len({here, there, threading.get_ident()}) == 3
    assert torch.get_num_threads() == 2
    assert in_a_new_thread(torch.get_num_threads) == 2


@pytest.mark.usefixtures("two_threads")
def test_fewer_threads_than_pieces_and_one_piece_stay_in_the_caller():
    caller = threading.get_ident()
    assert side_by_side(lambda _: threading.get_ident(), [1]) == [caller]
    assert side_by_side(lambda _: threading.get_ident(), [1, 2, 3]) == [caller] * 3


@pytest.mark.usefixtures("two_threads")
def test_no_gradient_is_recorded_and_inference_stays_inference():
    def modes(_):
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with torch.no_grad():
        assert side_by_side(modes, [1, 2]) == [(False, False)] * 2
    with torch.inference_mode():
        assert side_by_side(modes, [1, 2]) == [(False, True)] * 2


@pytest.mark.usefixtures("two_threads")
def test_what_a_piece_raises_reaches_the_caller():
    def work(piece):
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 1"):
        side_by_side(work, [1, 2])
    assert side_by_side(str, [1, 2]) == ["1", "2"]


def in_a_new_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def forked(far):
    far.send(side_by_side(str, [1, 2]))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_starts_threads_of_its_own():
    assert side_by_side(str, [1, 2]) == ["1", "2"]
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    child = context.Process(target=forked, args=(far,))
    child.start()
    assert near.poll(20), "the forked process waits for threads that it has not"
    assert near.recv() == ["1", "2"]
    child.join()


ENDLESS = """
import os, time, torch
from modernbert.base.threads import side_by_side

def work(piece):
    os.write(1, b"at work\\n")  # One call a line: print writes the line's end by itself.
    while True:
        time.sleep(0.01)

torch.set_num_threads(2)
side_by_side(work, [1, 2])
"""


def test_ctrl_c_ends_all_pieces():
    command = [sys.executable, "-c", ENDLESS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:
        try:
            assert [process.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1
    assert said.splitlines()[-1] == "KeyboardInterrupt"


def test_ctrl_c_that_does_not_wake_the_caller_is_seen_soon():
    # As when it comes in the moment before the caller begins to wait.
    unseen = "__import__('signal').pthread_kill(__import__('threading').get_ident(), 2)"
    program = ENDLESS.replace('os.write(1, b"at work\\n")', unseen)
    assert unseen in program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGINT
