"""Importance measures: a network, its weights and a task's data in, a number for each neuron or weight."""
