// The guest of the KVM probe: a firmware of its own, so nothing but this code runs between reset and verdict.
//
// Loaded at 0xf0000 (F-segment of a 64 KiB `-bios` image; the jump at the reset vector is added by kvm_probe.cc). It walks
// the way every kernel walks - real mode, protected mode, long mode with paging - and then does what kernels do all the
// time: exceptions, a page fault that is mended, SSE, ring 3 and back by syscall, a timer interrupt that ends hlt, and a
// plain loop timed with the TSC. The loop matters: a KVM that emulates guest kernels instruction by instruction gets
// everything right and is thousands of times too slow.
//
// A letter per stage goes to the debug console (port 0xe9): r p l c i f s u t k. The verdict goes to isa-debug-exit (port 0xf4):
// see kvm_probe.cc for the numbers. Everything is position dependent on AT(); no relocation is left for the linker.

        .section .rodata
        .globl  kvm_probe_guest_begin, kvm_probe_guest_end
        .balign 16

        .set    BASE, 0xf0000
        .set    PORT_LOG, 0xe9
        .set    PORT_EXIT, 0xf4
        .set    PASSED, 0x2a
        .set    WRONG_RESULT, 0x10
        .set    TOO_SLOW, 0x20
        .set    UNEXPECTED_TRAP, 0x30
        .set    NO_LONG_MODE, 0x40

        // RAM below 640 KiB
        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    PD, 0x12000
        .set    PT, 0x13000
        .set    IDT, 0x14000
        .set    TSS, 0x15000
        .set    GDT_COPY, 0x16000
        .set    COUNTERS, 0x17000
        .set    PD_HIGH, 0x18000
        .set    STACK0, 0x20000
        .set    STACK3, 0x30000
        .set    FRESH_PAGE, 0x40000
        .set    APIC, 0xfee00000
        .set    FAULT_AT, 0x200000         // second entry of PD: its page table starts empty

        .set    LOOPS, 10000
        .set    SLOW_CYCLES, 20000000      // 2000 cycles a turn; hardware needs about one, TCG fewer than 100

#define AT(label) (BASE + (label) - kvm_probe_guest_begin)
#define LOG(letter) movb $(letter), %al; outb %al, $PORT_LOG

        .code16
kvm_probe_guest_begin:
        cli
        LOG('r')
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   (gdt_pointer - kvm_probe_guest_begin)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $AT(protected_mode)

        .code32
protected_mode:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $STACK0, %esp
        LOG('p')
        movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx
        jc      1f
        movb    $NO_LONG_MODE, %al
        outb    %al, $PORT_EXIT
        hlt
1:
        cld
        xorl    %eax, %eax
        movl    $PML4, %edi
        movl    $(0x10000 / 4), %ecx
        rep stosl
        movl    $(PDPT + 7), PML4          // present, writable, user
        movl    $(PD + 7), PDPT
        movl    $0x87, PD                  // first 2 MiB: one large page onto itself
        movl    $(PT + 7), PD + 8
        movl    $(PD_HIGH + 3), PDPT + 3 * 8
        movl    $(APIC + 0x93), PD_HIGH + 0x1f7 * 8   // large, uncached
        movl    %cr4, %eax
        orl     $0x620, %eax               // PAE, OSFXSR, OSXMMEXCPT
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx          // EFER: syscall, long mode
        rdmsr
        orl     $0x101, %eax
        wrmsr
        movl    %cr0, %eax
        andl    $0xfffffff3, %eax          // no FPU emulation, no task switched
        orl     $0x80010002, %eax          // paging, write protect, monitor coprocessor
        movl    %eax, %cr0
        ljmpl   $0x18, $AT(long_mode)

        .code64
long_mode:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $STACK0, %esp
        LOG('l')

        LOG('c')
        movl    $3, %edi                   // best of three, so that a busy host is not taken for a slow guest
1:      rdtsc
        movl    %eax, %esi
        movl    %edx, %r8d
        movl    $LOOPS, %ecx
2:      decl    %ecx
        jnz     2b
        rdtsc
        subl    %esi, %eax
        sbbl    %r8d, %edx
        jnz     3f
        cmpl    $SLOW_CYCLES, %eax
        jb      fast_enough
3:      decl    %edi
        jnz     1b
        movb    $TOO_SLOW, %al
        jmp     verdict
fast_enough:
        // GDT in RAM, because ltr marks the descriptor busy
        movl    $AT(gdt), %esi
        movl    $GDT_COPY, %edi
        movl    $(gdt_end - gdt), %ecx
        rep movsb
        lgdt    AT(gdt_copy_pointer)
        movl    $STACK0, TSS + 4           // rsp0
        movl    $0x38, %eax
        ltr     %ax

        // every vector is unexpected but four
        xorl    %ebx, %ebx
1:      movl    $AT(on_unexpected), %eax
        call    set_gate
        incl    %ebx
        cmpl    $0x81, %ebx
        jb      1b
        movl    $6, %ebx
        movl    $AT(on_undefined), %eax
        call    set_gate
        movl    $14, %ebx
        movl    $AT(on_page_fault), %eax
        call    set_gate
        movl    $0x20, %ebx
        movl    $AT(on_timer), %eax
        call    set_gate
        movl    $0x80, %ebx
        movl    $AT(on_software), %eax
        call    set_gate
        lidt    AT(idt_pointer)

        LOG('i')
        int     $0x80
        ud2
        cmpl    $1, COUNTERS
        jne     wrong
        cmpl    $1, COUNTERS + 4
        jne     wrong

        LOG('f')
        movl    $0x1234abcd, FAULT_AT      // faults once; the handler maps FRESH_PAGE there
        cmpl    $0x1234abcd, FRESH_PAGE
        jne     wrong
        cmpl    $1, COUNTERS + 8
        jne     wrong
        movq    %cr3, %rax
        movq    %rax, %cr3
        invlpg  FAULT_AT
        cmpl    $0x1234abcd, FAULT_AT
        jne     wrong

        LOG('s')
        movl    $12345, %eax
        cvtsi2sd %eax, %xmm0
        movapd  %xmm0, %xmm1
        mulsd   %xmm0, %xmm1
        sqrtsd  %xmm1, %xmm2
        cvttsd2si %xmm2, %ebx
        cmpl    $12345, %ebx
        jne     wrong
        movd    %eax, %xmm3
        pshufd  $0, %xmm3, %xmm3
        paddd   %xmm3, %xmm3
        movups  %xmm3, COUNTERS + 64
        cmpl    $24690, COUNTERS + 76
        jne     wrong
        bsrl    %eax, %ecx
        cmpl    $13, %ecx
        jne     wrong
        movl    $5, %ecx
        lock xaddl %ecx, COUNTERS + 64
        cmpl    $24695, COUNTERS + 64
        jne     wrong

        LOG('u')
        movl    $0xc0000081, %ecx          // STAR: kernel 0x18/0x20, user 0x20 + 8/16
        xorl    %eax, %eax
        movl    $0x00200018, %edx
        wrmsr
        incl    %ecx                       // LSTAR
        movl    $AT(from_user), %eax
        xorl    %edx, %edx
        wrmsr
        movl    $0xc0000084, %ecx          // SFMASK: interrupts off
        movl    $0x200, %eax
        wrmsr
        pushq   $0x2b                      // user data, DPL 3
        pushq   $STACK3
        pushq   $0x2
        pushq   $0x33                      // user code, DPL 3
        pushq   $AT(user_mode)
        iretq

user_mode:
        movl    $0x600d, %ebx
        syscall
        ud2

from_user:
        movl    $STACK0, %esp
        cmpl    $0x600d, %ebx
        jne     wrong
        movl    %cs, %eax
        cmpl    $0x18, %eax
        jne     wrong

        LOG('t')
        movb    $0x11, %al                 // both PICs: vectors 0x20 and 0x28, only the timer unmasked
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $4, %al
        outb    %al, $0x21
        movb    $2, %al
        outb    %al, $0xa1
        movb    $1, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xfe, %al
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1
        movl    $APIC, %edi                // local APIC on, the PICs on its LINT0
        movl    $0x1ff, 0xf0(%rdi)
        movl    $0x700, 0x350(%rdi)
        movb    $0x30, %al                 // PIT channel 0: one interrupt in 1 ms
        outb    %al, $0x43
        movb    $0xa9, %al
        outb    %al, $0x40
        movb    $0x04, %al
        outb    %al, $0x40
1:      sti
        hlt
        cli
        cmpl    $0, COUNTERS + 12
        je      1b

passed:
        LOG('k')
        movb    $PASSED, %al
        jmp     verdict
wrong:
        movb    $WRONG_RESULT, %al
verdict:
        outb    %al, $PORT_EXIT
        cli
        hlt
        jmp     verdict

set_gate:                                  // vector ebx to handler eax: interrupt gate, callable from ring 3
        movl    %ebx, %edx
        shll    $4, %edx
        movw    %ax, IDT(%rdx)
        movw    $0x18, IDT + 2(%rdx)
        movw    $0xee00, IDT + 4(%rdx)
        shrl    $16, %eax
        movw    %ax, IDT + 6(%rdx)
        movq    $0, IDT + 8(%rdx)
        ret

on_software:
        incl    COUNTERS
        iretq
on_undefined:
        incl    COUNTERS + 4
        addq    $2, (%rsp)                 // past ud2
        iretq
on_page_fault:
        pushq   %rax
        incl    COUNTERS + 8
        movq    %cr2, %rax
        cmpq    $FAULT_AT, %rax
        jne     on_unexpected
        cmpl    $1, COUNTERS + 8
        jne     on_unexpected
        movl    $(FRESH_PAGE + 7), PT
        invlpg  FAULT_AT
        popq    %rax
        addq    $8, %rsp                   // error code
        iretq
on_timer:
        pushq   %rax
        incl    COUNTERS + 12
        movb    $0x20, %al
        outb    %al, $0x20
        popq    %rax
        iretq
on_unexpected:
        movb    $UNEXPECTED_TRAP, %al
        jmp     verdict

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff         // 0x08 32-bit code
        .quad   0x00cf93000000ffff         // 0x10 data
        .quad   0x00af9b000000ffff         // 0x18 64-bit code
        .quad   0x00cf93000000ffff         // 0x20 data after syscall
        .quad   0x00cff3000000ffff         // 0x28 user data
        .quad   0x00affb000000ffff         // 0x30 user 64-bit code
        .quad   0x0000890000000067 + ((TSS & 0xffffff) << 16)  // 0x38 TSS
        .quad   0
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   AT(gdt)
gdt_copy_pointer:
        .word   gdt_end - gdt - 1
        .quad   GDT_COPY
idt_pointer:
        .word   0x81 * 16 - 1
        .quad   IDT
kvm_probe_guest_end:

        .section .note.GNU-stack, "", @progbits
