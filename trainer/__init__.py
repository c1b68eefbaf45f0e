"""Small heads on frozen vision-language features: trained, compared, recorded."""

import os

# Threads of a matrix product wait for each other by spinning, unless told not to. With another busy process
# on the same cores two programs of two threads each take many times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
