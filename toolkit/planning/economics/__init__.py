"""What serving costs, beside what closed APIs would cost."""
