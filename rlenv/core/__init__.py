"""The contracts: task, reward, environment, tools, trajectory, and the registry of environments."""
