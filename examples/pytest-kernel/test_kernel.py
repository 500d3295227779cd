"""What the kernel promises about its memory. Run `pytest` in this folder."""

import pytest

from hillemu.testing import faults, maps, maps_nothing, maps_to, prints, unmapped

pytestmark = pytest.mark.hillemu(until="ready", budget="10M")

KERNEL_BASE = 0xC0000000
PAGE = 0x1000


def test_it_comes_up_in_the_right_order(machine):
    assert machine.serial.text == prints("^booting$", "^paging on$", "^ready")


def test_a_null_pointer_leads_nowhere(machine):
    assert machine.paging[0] == unmapped
    assert machine.paging == maps_nothing(range(PAGE))


def test_code_is_read_only_and_data_is_not(machine):
    code, data = machine.symbols["kernel_main"], machine.symbols["directory"]
    assert machine.paging[code] == maps_to(code, "r")
    assert machine.paging[code] == faults(write=True)
    assert machine.paging[data] == maps_to(data, "rw")


def test_the_kernels_place_is_the_first_4_mib_again(machine):
    assert machine.paging == maps(range(KERNEL_BASE + PAGE, KERNEL_BASE + 1024 * PAGE), to=PAGE)


def test_users_may_touch_their_page_and_no_other(machine):
    assert machine.paging[0x400000] == maps_to(machine.symbols["users_page"], "urw")
    assert machine.paging[KERNEL_BASE + PAGE] == faults(user=True, error_code=0x5)
    assert sum(region.pages for region in machine.paging if region.rights.user) == 1


@pytest.mark.hillemu(mem=["8M", "64M", "512M"])
def test_nothing_depends_on_the_amount_of_memory(machine):
    assert machine.paging == maps(range(PAGE, 1024 * PAGE), to=PAGE)


def test_a_null_pointer_is_reported(machine):
    machine.serial.send(b"n")
    machine.run(until="page fault at 0x00000000, error 0x00000000")


def test_a_write_to_code_is_reported_where_it_happens(machine):
    writes = []
    machine.on_page_fault(lambda fault: writes.append(fault.address))
    machine.serial.send(b"c")
    machine.run(until="page fault at .*, error 0x00000003")
    assert writes == [machine.symbols["code_start"]]


def test_it_leaves_with_status_1(machine):
    machine.serial.send(b"q")
    stop = machine.run(budget="1M")
    assert (stop.reason, stop.exit_code) == ("exit", 1)
