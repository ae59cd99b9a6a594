"""The number of instructions that a request took when it was last written down."""

import os

from . import programs

PATH = os.path.join(programs.ROOT, "benches", "proxy", "instructions.baseline")
# In percent. The count itself varies by less than one.
TOLERANCE = 5
UPDATE = ".ci/instructions --update"


class Baseline:
    """A count, and the version of rustc that built what was counted."""

    def __init__(self, instructions, rustc):
        self.instructions, self.rustc = instructions, rustc

    @classmethod
    def read(cls):
        with open(PATH) as file:
            fields = dict(line.split() for line in file)
        return cls(int(fields["instructions"]), fields["rustc"])

    def write(self):
        with open(PATH, "w") as file:
            file.write(str(self))

    def __str__(self):
        return "instructions %d\nrustc %s\n" % (self.instructions, self.rustc)

    def compare(self, now):
        """Whether a new count is not too high, and a line that says how it differs from this one."""
        percent = (now.instructions / self.instructions - 1) * 100
        line = "%d instructions per request, %+.1f %% to the baseline of %d" % (now.instructions, percent, self.instructions)
        if now.rustc != self.rustc:
            line += ", which was taken with rustc %s, and this is %s" % (self.rustc, now.rustc)
        if percent > TOLERANCE:
            line += ": more than %d %% above. If that is meant, write it down: %s" % (TOLERANCE, UPDATE)
        elif percent < -TOLERANCE:
            line += ": more than %d %% below. Write it down, so that it stays so: %s" % (TOLERANCE, UPDATE)
        return percent <= TOLERANCE, line
