from modernbert.train.processes import default_jobs, gpu_of


def test_processes_share_the_gpus_that_there_are_in_turn():
    assert [gpu_of(slot, 2, "") for slot in range(4)] == ["0", "1", "0", "1"]
    assert [gpu_of(slot, 2, "3,5") for slot in range(3)] == ["3", "5", "3"]
    assert gpu_of(0, 1, "GPU-12ab") == "GPU-12ab"
    assert default_jobs("cpu") == 1
