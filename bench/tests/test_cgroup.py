import unittest
from pathlib import Path

from harness.cgroup import CpuAccount, CpuTime, keyed, locate
from harness.errors import BenchError

V1_MOUNTS = """\
tmpfs /sys/fs/cgroup tmpfs ro 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0
"""
UNIFIED = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid 0 0\n"
V2_MOUNTS = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n"
V1_GROUPS = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


class Locating(unittest.TestCase):
    def test_version_1(self):
        places = locate(V1_GROUPS, V1_MOUNTS)
        self.assertEqual(places.version, 1)
        self.assertEqual(places.cpu, Path("/sys/fs/cgroup/cpu,cpuacct/docker/abc"))
        self.assertEqual(places.memory, Path("/sys/fs/cgroup/memory/docker/abc"))

    def test_version_1_where_an_empty_version_2_is_mounted_beside_it(self):
        places = locate(V1_GROUPS + "0::/docker/abc\n", V1_MOUNTS + UNIFIED)
        self.assertEqual(places.version, 1)

    def test_version_2_under_systemd(self):
        places = locate("0::/system.slice/docker-abc.scope\n", V2_MOUNTS)
        self.assertEqual(places.version, 2)
        self.assertEqual(places.cpu, Path("/sys/fs/cgroup/system.slice/docker-abc.scope"))

    def test_a_machine_without_accounts_is_an_error(self):
        with self.assertRaisesRegex(BenchError, "control groups"):
            locate(
                "1:name=systemd:/docker/abc\n",
                "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n",
            )


class Reading(unittest.TestCase):
    def test_key_value_files(self):
        self.assertEqual(keyed("user_usec 12\nsystem_usec 30\n"), {"user_usec": 12, "system_usec": 30})


class Accounting(unittest.TestCase):
    def test_accounts_add_up_and_differ(self):
        sum_and_difference = CpuAccount(12, 5, 7) - CpuAccount(3, 1, 2) + CpuAccount(2, 1, 1)
        self.assertEqual(sum_and_difference, CpuAccount(11, 5, 6))

    def test_ticks_share_the_exact_total_out(self):
        self.assertEqual(CpuAccount(total=1000, user=100, system=300).split(requests=10), CpuTime(25, 75))

    def test_less_than_a_tick_is_not_lost(self):
        self.assertEqual(CpuAccount(total=1000, user=0, system=0).split(requests=10), CpuTime(0, 100))
