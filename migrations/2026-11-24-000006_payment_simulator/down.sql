DROP TABLE control.simulated_payments;
