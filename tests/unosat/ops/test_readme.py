"""What the README says of starting it is what the code reads."""

import re

from tests.live import PROJECT


def test_every_variable_that_is_read_is_in_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    sources = [*(PROJECT / "unosat").rglob("*.py"), *(PROJECT / "detection").rglob("*.py")]
    pattern = r"""(?:env\.\w+\(|environ\.get\(|environ\[)\s*"(UNOSAT_[A-Z_]+)\""""
    read = {name for path in sources for name in re.findall(pattern, path.read_text())}

    assert len(read) > 10
    assert {name for name in read if f"`{name}`" not in readme} == set()
