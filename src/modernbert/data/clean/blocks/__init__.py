"""What is made of the classes of datatrove: nothing above imports it before it is needed."""
