"""An order is stopped at every step of its life, by every fault: ``points`` lists them all."""
