"""On-policy reinforcement learning: rollouts, advantages, the loss and the loop around them."""
