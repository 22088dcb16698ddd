"""What one operator costs on one machine: seconds, and seconds at the speed of light."""
