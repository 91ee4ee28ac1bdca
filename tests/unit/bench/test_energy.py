from modernbert.bench.energy import packages


def write(folder, name, energy, most=1_000_000_000):
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "energy_uj").write_text(f"{energy}\n")
    (place / "max_energy_range_uj").write_text(f"{most}\n")


def test_packages_are_added_and_their_parts_are_not(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "other"):
        write(tmp_path, name, 5_000_000)
    joules = packages(tmp_path)
    before = joules()
    write(tmp_path, "intel-rapl:0", 7_000_000)
    write(tmp_path, "intel-rapl:1", 6_500_000)
    write(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert round(joules() - before, 6) == 3.5


def test_a_counter_that_began_again_goes_on(tmp_path):
    write(tmp_path, "intel-rapl:0", 9_999_999, most=9_999_999)
    joules = packages(tmp_path)
    before = joules()
    write(tmp_path, "intel-rapl:0", 1_999_999, most=9_999_999)
    assert round(joules() - before, 6) == 2.0


def test_nothing_to_read_gives_no_counter(tmp_path):
    assert packages(tmp_path) is None
    assert packages(tmp_path / "absent") is None
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("1")
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir()
    assert packages(tmp_path) is None
